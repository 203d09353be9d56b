import { assert, describe, it } from "@effect/vitest"
import * as LockKind from "../src/LockKind.ts"
import * as LockPolicy from "../src/LockPolicy.ts"
import * as LockRecord from "../src/LockRecord.ts"
import * as PermitRecord from "../src/PermitRecord.ts"

const key = "example.com/lock"
const expiry = "2026-11-24T10:20:00Z"
const expiresAt = 1_795_515_600_000
const a = "pod-a/aaaaaaaaaaaa.1"
const b = "pod-b/bbbbbbbbbbbb.2"
const c = "pod-c/cccccccccccc.z"
const lease = (holderId: string, permits: number, place: string) => ({ holderId, permits, place, expiry })
const annotationsOf = (permits: PermitRecord.Permits, ...leases: ReadonlyArray<PermitRecord.PermitLease>) =>
  Object.assign(
    { [key]: permits.mark },
    ...leases.map((lease) => PermitRecord.toAnnotations(key, permits, lease))
  ) as Record<string, string>
const line = (permits: PermitRecord.Permits, annotations: Record<string, string>) =>
  PermitRecord.fromAnnotations(key, permits, annotations)
const grants = (permits: PermitRecord.Permits, annotations: Record<string, string>) =>
  PermitRecord.placed(line(permits, annotations)).map(({ granted, holderId }) => [holderId, granted])

const two = PermitRecord.semaphore(2)

describe("PermitRecord", () => {
  it("is written so that people can read it", () => {
    assert.deepStrictEqual(annotationsOf(two, lease(a, 2, "7")), {
      "example.com/lock": "semaphore of 2",
      "example.com/lock-lease-aaaaaaaaaaaa.1": `pod-a/aaaaaaaaaaaa.1 2 ${expiry}`,
      "example.com/lock-place-aaaaaaaaaaaa.1": "7"
    })
    const { shared } = PermitRecord
    assert.deepStrictEqual(annotationsOf(shared, lease(a, 1, "7"), lease(b, shared.limit, "8")), {
      "example.com/lock": "shared lock",
      "example.com/lock-lease-aaaaaaaaaaaa.1": `pod-a/aaaaaaaaaaaa.1 shared ${expiry}`,
      "example.com/lock-place-aaaaaaaaaaaa.1": "7",
      "example.com/lock-lease-bbbbbbbbbbbb.2": `pod-b/bbbbbbbbbbbb.2 exclusive ${expiry}`,
      "example.com/lock-place-bbbbbbbbbbbb.2": "8"
    })
  })

  it("is read in the order of the places, which are numbers", () => {
    assert.deepStrictEqual(line(two, annotationsOf(two, lease(a, 1, "100"), lease(b, 1, "99"))), {
      _tag: "Leases",
      leases: [
        { ...lease(b, 1, "99"), expiresAt, granted: 1 },
        { ...lease(a, 1, "100"), expiresAt, granted: 1 }
      ]
    })
  })

  const lines: ReadonlyArray<
    readonly [string, PermitRecord.Permits, ReadonlyArray<number | "shared" | "exclusive">, ReadonlyArray<number>]
  > = [
    ["as many as fit", two, [1, 1, 1], [1, 1, 0]],
    ["the first that does not fit holds what is left", two, [1, 2, 1], [1, 1, 0]],
    ["nobody passes one that holds nothing", two, [2, 2, 1], [2, 0, 0]],
    ["readers", PermitRecord.shared, ["shared", "shared"], [1, 1]],
    [
      "a reader behind a writer that waits",
      PermitRecord.shared,
      ["exclusive", "shared"],
      [PermitRecord.shared.limit, 0]
    ]
  ]
  it.each(lines)("grants: %s", (_, permits, amounts, granted) => {
    const leases = amounts.map((amount, index) =>
      lease([a, b, c][index]!, typeof amount === "number" ? amount : permits.words[amount]!, String(index))
    )
    const found = PermitRecord.placed(line(permits, annotationsOf(permits, ...leases)))
    assert.deepStrictEqual(
      found.map(({ granted }) => granted),
      granted
    )
  })

  it("a writer behind readers waits for all of them, and holds back the readers behind it", () => {
    const { shared } = PermitRecord
    const found = annotationsOf(shared, lease(a, 1, "1"), lease(b, shared.limit, "2"), lease(c, 1, "3"))
    const [first, writer, reader] = PermitRecord.placed(line(shared, found))
    assert.strictEqual(first!.granted, 1)
    assert.isBelow(writer!.granted, writer!.permits)
    assert.strictEqual(reader!.granted, 0)
  })

  const broken: ReadonlyArray<readonly [string, Record<string, string>]> = [
    ["without a place", { [PermitRecord.leaseKey(key, a)]: `${a} 1 ${expiry}` }],
    ["with a place that is no number", { ...annotationsOf(two, lease(a, 1, "x")) }],
    ["without permits", annotationsOf(two, lease(a, 0, "1"))],
    ["with more permits than there are", annotationsOf(two, lease(a, 3, "1"))],
    ["with an expiry that is no time", annotationsOf(two, { ...lease(a, 1, "1"), expiry: "soon" })],
    [
      "of another than its key says",
      { [PermitRecord.leaseKey(key, a)]: `${b} 1 ${expiry}`, [PermitRecord.placeKey(key, a)]: "1" }
    ],
    ["with a word of another kind", annotationsOf(two, lease(a, PermitRecord.shared.limit, "1"))]
  ]
  it.each(broken)("a lease %s is none", (_, annotations) => {
    assert.deepStrictEqual(grants(two, annotations), [])
  })

  it("reads all leases, so that a newcomer does not push out one that holds", () => {
    const leases = Array.from({ length: 1100 }, (_, index) =>
      lease(`pod/bbbbbbbbbbbb.${index.toString(36)}`, 1, String(index))
    )
    const all = grants(two, annotationsOf(two, lease("pod/aaaaaaaaaaaa.1", 1, "2000"), ...leases))
    assert.lengthOf(all, 1101)
    assert.deepStrictEqual(all, grants(two, annotationsOf(two, ...leases, lease("pod/aaaaaaaaaaaa.1", 1, "2000"))))
  })

  it("says what is locked", () => {
    assert.strictEqual(PermitRecord.describe("semaphore of 4"), "a semaphore of 4 permits")
    assert.strictEqual(PermitRecord.describe("shared lock"), "a shared lock")
    assert.strictEqual(PermitRecord.describe(expiry), "an exclusive lock")
    assert.isUndefined(PermitRecord.describe("x"))
  })

  it("a hundred holders with the longest names fit well within the limits of annotations", () => {
    const leases = Array.from({ length: 100 }, (_, index) =>
      lease(`${"p".repeat(63)}/${String(index).padStart(12, "0")}.zzzzzz`, 999_999_999, "99999999999999999999")
    )
    const size = Object.entries(annotationsOf(PermitRecord.semaphore(999_999_999), ...leases)).reduce(
      (sum, [name, value]) => sum + name.length + value.length,
      0
    )
    assert.isBelow(size, 32_000)
  })
})

describe("kinds of locks on one object", () => {
  const semaphore = LockKind.semaphore(key, 2)
  const exclusive = LockKind.exclusive(key)
  const inUse = annotationsOf(two, lease(a, 1, "1"))
  const unused = { [key]: two.mark }

  it("an exclusive lock sees a semaphore in use, and one that is not used as free", () => {
    assert.deepInclude(exclusive.decode(inUse), { _tag: "Malformed", key, value: "semaphore of 2" })
    assert.deepStrictEqual(exclusive.decode(unused), { _tag: "Leases", leases: [] })
  })

  it("a version that knows only the exclusive lock refuses it", () => {
    assert.strictEqual(LockRecord.fromAnnotations(key, inUse)._tag, "Malformed")
  })

  it("a semaphore sees an exclusive lock, and a semaphore with another limit in use", () => {
    assert.deepInclude(semaphore.decode({ [key]: expiry }), { _tag: "Malformed", value: expiry })
    assert.deepInclude(LockKind.semaphore(key, 3).decode(inUse), { _tag: "Malformed", value: "semaphore of 2" })
    assert.deepInclude(LockKind.shared(key).decode(inUse), { _tag: "Malformed", value: "semaphore of 2" })
    assert.deepStrictEqual(LockKind.semaphore(key, 3).decode(unused), { _tag: "Leases", leases: [] })
    assert.deepInclude(semaphore.decode({ [key]: "x" }), { _tag: "Malformed", value: "x" })
  })

  it("what one kind of lock has read of an object is not what another one reads", () => {
    const annotations = annotationsOf(two, lease(a, 1, "1"), lease(b, 1, "2"))
    assert.lengthOf(LockKind.semaphore(key, 2).decode(annotations).leases, 2)
    assert.strictEqual(LockKind.semaphore(key, 3).decode(annotations)._tag, "Malformed")
    assert.strictEqual(LockKind.semaphore(key, 2).decode(annotations)._tag, "Leases")
    assert.lengthOf(LockKind.semaphore("example.com/other", 2).decode(annotations).leases, 0)
    assert.strictEqual(LockKind.semaphore(key, 3).decode(annotations)._tag, "Malformed")
    assert.lengthOf(LockKind.semaphore(key, 2).decode(annotations).leases, 2)
  })

  it("both default keys count", () => {
    const { dexAnnotation, neutralAnnotation } = LockPolicy
    const neutral = LockKind.semaphore(neutralAnnotation, 2)
    assert.deepInclude(neutral.decode({ [dexAnnotation]: expiry }), { _tag: "Malformed", key: dexAnnotation })
    const { permits } = neutral
    const held = {
      [neutralAnnotation]: permits!.mark,
      ...PermitRecord.toAnnotations(neutralAnnotation, permits!, lease(a, 1, "1"))
    }
    assert.deepInclude(LockKind.exclusive(dexAnnotation).decode(held), { _tag: "Malformed", key: neutralAnnotation })
  })
})
