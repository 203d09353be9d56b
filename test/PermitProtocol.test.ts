import { assert, describe, it } from "@effect/vitest"
import * as LockKind from "../src/LockKind.ts"
import * as LockProtocol from "../src/LockProtocol.ts"
import * as LockRecord from "../src/LockRecord.ts"
import * as ObjectStore from "../src/ObjectStore.ts"
import type { AnnotationGuardedPatch, ConditionalPatch, ObjectSnapshot } from "../src/ObjectStore.ts"
import * as PermitProtocol from "../src/PermitProtocol.ts"
import * as PermitRecord from "../src/PermitRecord.ts"
import * as precondition from "../src/internal/precondition.ts"

const key = "example.com/lock"
const at = 1_795_515_600_000
const now = { earliest: at, latest: at }
const expiry = LockRecord.expiryAt(at + 10_000)
const past = LockRecord.expiryAt(at - 1000)
const a = "pod-a/aaaaaaaaaaaa.1"
const b = "pod-b/bbbbbbbbbbbb.1"
const c = "pod-c/cccccccccccc.1"
const d = "pod-d/dddddddddddd.1"

const semaphore = (limit: number) => LockKind.semaphore(key, limit) as PermitProtocol.PermitKind
const shared = LockKind.shared(key) as PermitProtocol.PermitKind
const asking = (holderId: string, permits = 1, kind = semaphore(2), needs = permits): PermitProtocol.Asking => ({
  kind,
  holderId,
  ttl: 10_000,
  renews: true,
  yields: false,
  asks: { permits, needs }
})
const lease = (holderId: string, place: string, permits = 1, until = expiry) => ({
  holderId,
  permits,
  place,
  expiry: until
})
const objectWith = (
  kind: PermitProtocol.PermitKind,
  ...leases: ReadonlyArray<PermitRecord.PermitLease>
): ObjectSnapshot => ({
  uid: "u",
  resourceVersion: "50",
  annotations: Object.assign({ [key]: kind.permits.mark }, ...leases.map((lease) => kind.encode(lease))),
  labels: {}
})
const empty: ObjectSnapshot = { uid: "u", resourceVersion: "50", annotations: { other: "1" }, labels: {} }
const two = semaphore(2)
const decide = (seen: ObjectSnapshot, contender: PermitProtocol.Asking) => PermitProtocol.decide(seen, now, contender)

describe("what a line wrote", () => {
  it("is not foreign to a lock, and in use", () => {
    const { annotations } = objectWith(two, lease(a, "1"))
    const labels = { [ObjectStore.managedBy.key]: ObjectStore.managedBy.value }
    const turns = { ...annotations, [`${key}-turn-1`]: "bbbbbbbbbbbb" }
    const usage = LockProtocol.usageOf({ annotations: turns, labels }, LockKind.exclusive(key), now, false)
    assert.strictEqual(usage, "InUse")
  })
})

describe("PermitProtocol.decide", () => {
  it("takes free permits, at the place of the version that it found", () => {
    const own = lease(a, "50", 2)
    assert.deepStrictEqual(decide(empty, asking(a, 2)), {
      _tag: "Acquire",
      lease: own,
      patch: { [key]: "semaphore of 2", ...two.encode(own) },
      labels: { [`${key}-next`]: "aaaaaaaaaaaa" },
      tookOverFrom: undefined
    })
  })

  it("takes what others leave", () => {
    assert.strictEqual(decide(objectWith(two, lease(a, "1")), asking(b))._tag, "Acquire")
  })

  it("waits if its permits do not fit", () => {
    assert.deepStrictEqual(decide(objectWith(two, lease(a, "1")), asking(b, 2)), {
      _tag: "Wait",
      seen: { expiry, holder: a },
      until: at + 10_000,
      position: undefined,
      canJoin: true,
      isFull: false
    })
  })

  it("takes fewer than it asks for if it can begin with them", () => {
    assert.strictEqual(decide(objectWith(two, lease(a, "1")), asking(b, 2, two, 1))._tag, "Acquire")
  })

  it("never passes one that waits", () => {
    assert.strictEqual(decide(objectWith(two, lease(a, "1"), lease(b, "2", 2)), asking(c))._tag, "Wait")
  })

  const crowd = (waiters: number, until = expiry) =>
    Array.from({ length: 2 + waiters }, (_, index) =>
      lease(`pod/aaaaaaaaaaaa.${index.toString(36)}`, String(index), 1, index < 2 ? expiry : until)
    )

  it("does not join a full line", () => {
    assert.deepInclude(decide(objectWith(two, ...crowd(128)), asking(b)), { canJoin: false, isFull: true })
    assert.deepInclude(decide(objectWith(two, ...crowd(127)), asking(b)), { canJoin: true, isFull: false })
  })

  it("joins a line that is full of waiters which have died", () => {
    assert.deepInclude(decide(objectWith(two, ...crowd(128, past)), asking(b)), { canJoin: true, isFull: false })
  })

  it("removes expired leases with the write that takes", () => {
    assert.deepInclude(decide(objectWith(two, lease(a, "1", 2, past)), asking(b)), {
      _tag: "Acquire",
      patch: { [key]: "semaphore of 2", ...two.removal(a), ...two.encode(lease(b, "50")) },
      tookOverFrom: { expiry: past, holder: a }
    })
  })

  it("wakes the waiters that are let in by what it removes", () => {
    const found = objectWith(two, lease(a, "1", 2, past), lease(b, "2"))
    const label = `${key}-next`
    assert.deepInclude(decide(found, asking(c)), { _tag: "Acquire", labels: { [label]: "bbbbbbbbbbbb" } })
    assert.deepInclude(decide(objectWith(two, lease(b, "2")), asking(c)), { labels: { [label]: "cccccccccccc" } })
  })

  // What begins with the same name and is not the line's, such as the record of `Once`.
  const ofOthers = { [`${key}-last-run`]: past, [`${key}-leases`]: "x", [`${key}-placement`]: "x" }

  it("removes an exclusive lock that has expired, with its queue", () => {
    const left = { [key]: past, [`${key}-holder`]: `x@${past}`, [`${key}-queue`]: "x", [`${key}-queue-x`]: "x" }
    assert.deepInclude(decide({ ...empty, annotations: { ...left, ...ofOthers } }, asking(a)), {
      patch: {
        [`${key}-holder`]: null,
        [`${key}-queue`]: null,
        [`${key}-queue-x`]: null,
        [key]: "semaphore of 2",
        ...two.encode(lease(a, "50"))
      }
    })
  })

  it("removes the line of another limit in which all leases have expired", () => {
    const three = semaphore(3)
    const left = objectWith(three, lease(b, "1", 3, past), lease(c, "2", 1, past))
    assert.deepInclude(decide({ ...left, annotations: { ...left.annotations, ...ofOthers } }, asking(a)), {
      patch: { ...three.removal(b), ...three.removal(c), [key]: "semaphore of 2", ...two.encode(lease(a, "50")) }
    })
    assert.strictEqual(decide(objectWith(three, lease(b, "1", 3, past), lease(c, "2")), asking(a))._tag, "Malformed")
  })

  it("refuses another kind that is in use", () => {
    const exclusive = { ...empty, annotations: { [key]: expiry } }
    assert.deepStrictEqual(decide(exclusive, asking(a)), { _tag: "Malformed", key, value: expiry })
    const other = objectWith(semaphore(3), lease(b, "1"))
    assert.deepStrictEqual(decide(other, asking(a)), { _tag: "Malformed", key, value: "semaphore of 3" })
  })

  it("refuses what it does not know, whatever is in the line", () => {
    for (const value of ["", "x", "semaphore of many", "semaphore of 2 or so", "rwlock/2"]) {
      const found = { ...empty, annotations: { [key]: value } }
      assert.deepStrictEqual(decide(found, asking(a)), { _tag: "Malformed", key, value })
      const inLine = { ...objectWith(two, lease(b, "1", 2, past)) }
      const later = { ...inLine, annotations: { ...inLine.annotations, [key]: value } }
      assert.strictEqual(decide(later, asking(a))._tag, "Malformed")
      assert.strictEqual(decide(later, asking(b))._tag, "Malformed")
    }
  })

  const full = objectWith(two, lease(a, "1"), lease(b, "2"), lease(c, "3"), lease(d, "4"))

  it("claims its permits as soon as they fit", () => {
    assert.deepStrictEqual(decide(full, asking(b)), { _tag: "Claim", lease: lease(b, "2"), validFor: 10_000 })
    assert.strictEqual(decide(full, asking(c))._tag, "Wait")
  })

  it("writes a lease anew of which little is left, also if it does not renew", () => {
    const found = objectWith(two, lease(a, "1", 1, LockRecord.expiryAt(at)))
    assert.deepInclude(decide(found, asking(a)), { _tag: "Rewrite", lease: lease(a, "1") })
    assert.deepInclude(decide(full, { ...asking(a), renews: false }), { _tag: "Rewrite", over: lease(a, "1") })
  })

  it("waits in the line until it must keep its place", () => {
    assert.deepStrictEqual(decide(full, asking(d)), {
      _tag: "Wait",
      seen: { expiry, holder: a },
      until: at + 10_000 - 6666.666666666668,
      position: 1,
      canJoin: false,
      isFull: false,
      keepsPlace: true
    })
  })

  it("keeps its place before a third of its lease is over", () => {
    const old = LockRecord.expiryAt(at + 6000)
    const found = objectWith(two, lease(a, "1", 2), lease(b, "2", 1, old))
    assert.deepInclude(decide(found, asking(b)), {
      _tag: "Keep",
      write: {
        expect: { annotations: two.encode(lease(b, "2", 1, old)) },
        annotations: two.encode(lease(b, "2"))
      }
    })
  })

  it("removes expired leases before it, and wakes those whom that lets in", () => {
    const dead = lease(a, "1", 2, past)
    const found = objectWith(two, dead, lease(b, "2"), lease(c, "3"), lease(d, "4", 1, past))
    assert.deepInclude(decide(found, asking(c)), {
      write: {
        expect: { annotations: { ...two.encode(dead), ...two.encode(lease(c, "3")) }, hasLabels: false },
        annotations: { ...two.encode(lease(c, "3")), ...two.removal(a) },
        labels: { [`${key}-next`]: "bbbbbbbbbbbb" }
      }
    })
  })
})

describe("what a contender believes of the time", () => {
  const decideAt = (earliest: number, latest: number, seen: ObjectSnapshot, contender: PermitProtocol.Asking) =>
    PermitProtocol.decide(seen, { earliest, latest }, contender)
  const end = at + 10_000

  it("a lease stands up to its expiry, and is over after it, by the earliest that the time can be", () => {
    const found = objectWith(two, lease(a, "1", 2))
    assert.strictEqual(decideAt(end, end + 60_000, found, asking(b))._tag, "Wait")
    assert.strictEqual(decideAt(end + 1, end + 1, found, asking(b))._tag, "Acquire")
    const waiting = objectWith(two, lease(a, "1", 2), lease(b, "2", 1, LockRecord.expiryAt(end + 60_000)))
    assert.strictEqual(decideAt(end, end + 3000, waiting, asking(b))._tag, "Wait")
    assert.strictEqual(decideAt(end + 1, end + 3000, waiting, asking(b))._tag, "Keep")
  })

  it("it relies on what it claims by the latest that the time can be, and for no longer than its TTL", () => {
    assert.deepInclude(decideAt(at - 3000, at + 2000, objectWith(two, lease(a, "1")), asking(a)), { validFor: 8000 })
    const long = objectWith(two, lease(a, "1", 1, LockRecord.expiryAt(at + 60_000)))
    assert.deepInclude(decideAt(at, at, long, asking(a)), { _tag: "Claim", validFor: 10_000 })
  })

  it("it keeps its place by the latest that the time can be", () => {
    const found = objectWith(two, lease(a, "1", 2, LockRecord.expiryAt(at + 60_000)), lease(b, "2"))
    assert.strictEqual(decideAt(at, at + 3000, found, asking(b))._tag, "Wait")
    assert.strictEqual(decideAt(at, at + 3400, found, asking(b))._tag, "Keep")
  })

  it("it never shortens a lease of its own that it writes anew", () => {
    const long = LockRecord.expiryAt(at + 60_000)
    const found = objectWith(two, lease(a, "1", 2, past), lease(b, "2", 1, long))
    assert.deepInclude(decide(found, asking(b)), {
      write: {
        expect: { annotations: { ...two.encode(lease(a, "1", 2, past)), ...two.encode(lease(b, "2", 1, long)) } },
        annotations: { ...two.encode(lease(b, "2", 1, long)), ...two.removal(a) }
      }
    })
  })
})

describe("a contender that needs several permits", () => {
  it("does not begin with fewer, though its lease holds some", () => {
    const found = objectWith(two, lease(a, "1"), lease(b, "2", 2))
    assert.strictEqual(decide(found, asking(b, 2))._tag, "Wait")
    assert.strictEqual(decide(found, asking(b, 2, two, 1))._tag, "Claim")
  })
})

const labelOf = ({ write }: PermitProtocol.LeavePlan) => write.labels?.[`${key}-next`]

const apply = (object: ObjectSnapshot, write: ConditionalPatch): ObjectSnapshot | undefined => {
  const { expect } = write
  const isMet =
    "resourceVersion" in expect
      ? expect.resourceVersion === object.resourceVersion
      : precondition.isMet(expect.annotations, object.annotations)
  if (!isMet) return undefined
  const { copies = [], stamps = [] } = write as AnnotationGuardedPatch
  const found: Record<string, string> = { ...object.annotations }
  const labels: Record<string, string> = { ...object.labels }
  for (const { from, to } of copies) {
    if ("label" in to) labels[to.label] = found[from]!
    else found[to.annotation] = found[from]!
  }
  const without = (values: Readonly<Record<string, string | null>>) =>
    Object.fromEntries(Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== null))
  return {
    ...object,
    annotations: without({
      ...found,
      ...write.annotations,
      ...Object.fromEntries(stamps.map((name) => [name, object.resourceVersion]))
    }),
    labels: without({ ...labels, ...write.labels }),
    resourceVersion: String(Number(object.resourceVersion) + 1)
  }
}

const leaving = { keeps: 0, again: undefined, passed: 0 }
const leave = (
  seen: ObjectSnapshot,
  own: PermitRecord.PermitLease,
  more: Partial<PermitProtocol.Leaving> = {},
  kind = two
) => PermitProtocol.planLeave(kind, seen, own, now, { ...leaving, ...more })

describe("PermitProtocol.planLeave", () => {
  it("leaves nothing on the object if nobody else is known, and its own lease alone if that is refused", () => {
    const { otherwise, write } = leave(objectWith(two, lease(a, "1")), lease(a, "1"))
    assert.deepStrictEqual(write, {
      expect: { resourceVersion: "50" },
      annotations: { [key]: null, ...two.removal(a) }
    })
    assert.deepStrictEqual(otherwise, {
      expect: { annotations: two.encode(lease(a, "1")) },
      annotations: two.removal(a)
    })
  })

  it("keeps as many permits as it says, at its place, whoever else is there", () => {
    const three = semaphore(3)
    const own = lease(a, "1", 3)
    for (const others of [[], [lease(b, "2")]]) {
      const found = objectWith(three, own, ...others)
      const { otherwise, write } = leave(found, own, { keeps: 1 }, three)
      assert.isUndefined(otherwise)
      const after = apply(found, write)!
      assert.deepStrictEqual(
        PermitRecord.placed(three.decode(after.annotations)).map(({ granted, holderId, place }) => [
          holderId,
          place,
          granted
        ]),
        [[a, "1", 1], ...others.map(({ holderId, place }) => [holderId, place, 1])]
      )
      assert.strictEqual(after.annotations[key], three.permits.mark)
    }
  })

  const full = objectWith(two, lease(a, "1"), lease(b, "2"), lease(c, "3"), lease(d, "4"))

  it("has its own lease as its only condition, and wakes the first waiter", () => {
    assert.deepStrictEqual(leave(full, lease(a, "1")).write, {
      expect: { annotations: two.encode(lease(a, "1")), hasLabels: false },
      annotations: two.removal(a),
      labels: { [`${key}-next`]: "cccccccccccc" }
    })
  })

  it("reckons with those who were let in meanwhile", () => {
    assert.strictEqual(labelOf(leave(full, lease(a, "1"), { passed: 1 })), "dddddddddddd")
    assert.isUndefined(labelOf(leave(full, lease(a, "1"), { passed: 2 })))
  })

  it("wakes several with one write", () => {
    const found = objectWith(two, lease(a, "1", 2), lease(b, "2"), lease(c, "3"))
    assert.strictEqual(labelOf(leave(found, lease(a, "1", 2))), PermitProtocol.several)
    assert.strictEqual(labelOf(leave(found, lease(a, "1", 2), { keeps: 1 })), "bbbbbbbbbbbb")
  })

  it("a waiter that asks for more than is free holds back those behind it", () => {
    const found = objectWith(two, lease(a, "1"), lease(b, "2"), lease(c, "3", 2), lease(d, "4"))
    // It holds one permit then, and has not what it needs.
    assert.strictEqual(labelOf(leave(found, lease(a, "1"))), "cccccccccccc")
  })

  it("puts the next waiter of its process into the line with the same write", () => {
    const again = "pod-a/aaaaaaaaaaaa.2"
    assert.deepStrictEqual(leave(full, lease(a, "1"), { again: { holderId: again, permits: 1, ttl: 10_000 } }).write, {
      expect: {
        annotations: { ...two.encode(lease(a, "1")), [`${key}-lease-aaaaaaaaaaaa.2`]: false },
        hasLabels: false
      },
      annotations: { ...two.removal(a), [`${key}-lease-aaaaaaaaaaaa.2`]: `${again} 1 ${expiry}` },
      stamps: [`${key}-place-aaaaaaaaaaaa.2`],
      labels: { [`${key}-next`]: "cccccccccccc" }
    })
  })

  it("a writer that leaves lets in the readers next to each other", () => {
    const all = shared.permits.limit
    const found = objectWith(shared, lease(a, "1", all), lease(b, "2"), lease(c, "3"), lease(d, "4", all))
    assert.strictEqual(labelOf(leave(found, lease(a, "1", all), {}, shared)), PermitProtocol.several)
    assert.strictEqual(labelOf(leave(found, lease(a, "1", all), { keeps: 1 }, shared)), PermitProtocol.several)
  })

  it("the last reader lets in the writer, and no other reader does", () => {
    const all = shared.permits.limit
    const one = objectWith(shared, lease(a, "1"), lease(b, "2", all))
    assert.strictEqual(labelOf(leave(one, lease(a, "1"), {}, shared)), "bbbbbbbbbbbb")
  })

  it("a reader that leaves others behind wakes no writer that came meanwhile, and the last one does", () => {
    const all = shared.permits.limit
    const plan = leave(objectWith(shared, lease(a, "1"), lease(b, "2")), lease(a, "1"), {}, shared)
    const others = objectWith(shared, lease(b, "2"), lease(c, "3", all))
    assert.isUndefined(PermitProtocol.readAnswer(shared, plan, others).write)
    const alone = objectWith(shared, lease(c, "3", all))
    const { write } = PermitProtocol.readAnswer(shared, plan, { ...alone, labels: { [`${key}-next`]: "none" } })
    assert.strictEqual(write?.labels?.[`${key}-next`], "cccccccccccc")
  })

  it("makes the label quiet that has woken several, since each write would be an event for all", () => {
    const readers = { ...objectWith(shared, lease(a, "1"), lease(b, "2")), labels: { [`${key}-next`]: "several" } }
    assert.strictEqual(labelOf(leave(readers, lease(a, "1"), {}, shared)), "none")
    const quiet = { ...readers, labels: { [`${key}-next`]: "none" } }
    assert.isUndefined(labelOf(leave(quiet, lease(a, "1"), {}, shared)))
  })

  it("reads from the answer whom it let in without having woken them, and how many were let in before", () => {
    const plan = leave(full, lease(a, "1"))
    const answer = {
      ...objectWith(two, lease(b, "2"), lease(c, "3"), lease(d, "4")),
      labels: { [`${key}-next`]: "cccccccccccc" }
    }
    assert.deepStrictEqual(PermitProtocol.readAnswer(two, plan, answer), {
      write: undefined,
      otherwise: undefined,
      passed: 0
    })
    // The other holder left as well, and woke the same waiter.
    const later = { ...objectWith(two, lease(c, "3"), lease(d, "4")), labels: { [`${key}-next`]: "cccccccccccc" } }
    assert.deepStrictEqual(PermitProtocol.readAnswer(two, plan, later), {
      write: {
        expect: { annotations: { [key]: "semaphore of 2" }, hasLabels: true },
        annotations: {},
        labels: { [`${key}-next`]: "dddddddddddd" }
      },
      otherwise: undefined,
      passed: 1
    })
  })
})

describe("the turns of a line", () => {
  const waiters = ["c", "d", "e", "f"].map((name, index) => lease(`pod/${name.repeat(12)}.1`, String(3 + index)))
  const line = objectWith(two, lease(a, "1"), lease(b, "2"), ...waiters)
  const turnsOf = (...processes: ReadonlyArray<string>) =>
    Object.fromEntries(
      Array.from({ length: PermitProtocol.turns }, (_, index) => [
        `${key}-turn-${index + 1}`,
        processes[index] === undefined ? "none" : processes[index].repeat(12)
      ])
    )
  const written = {
    ...line,
    annotations: { ...line.annotations, ...turnsOf("c", "d", "e", "f") },
    labels: { [`${key}-next`]: "bbbbbbbbbbbb" }
  }

  it("are written down by a release whose answer shows several waiters and no turns", () => {
    const { otherwise, write } = PermitProtocol.readAnswer(two, leave(line, lease(a, "1")), {
      ...objectWith(two, lease(b, "2"), ...waiters),
      labels: { [`${key}-next`]: "cccccccccccc" }
    })
    assert.isUndefined(otherwise)
    assert.deepStrictEqual(write, {
      expect: { annotations: { [key]: "semaphore of 2", [`${key}-turn-1`]: false } },
      annotations: turnsOf("d", "e", "f")
    })
  })

  it("are moved forward by the server, which names the first in the label", () => {
    const { write } = leave(written, lease(a, "1"))
    const after = apply(written, write)!
    assert.strictEqual(after.labels[`${key}-next`], "cccccccccccc")
    assert.deepInclude(after.annotations, turnsOf("d", "e", "f"))
    // Whatever the releaser knew.
    const later = { ...written, annotations: { ...written.annotations, ...turnsOf("e", "f") } }
    assert.strictEqual(apply(later, write)!.labels[`${key}-next`], "eeeeeeeeeeee")
  })

  it("are moved by as many as are let in, and then all are woken", () => {
    const found = objectWith(two, lease(a, "1", 2), ...waiters)
    const seen = {
      ...found,
      annotations: { ...found.annotations, ...turnsOf("c", "d", "e", "f") },
      labels: written.labels
    }
    const after = apply(seen, leave(seen, lease(a, "1", 2)).write)!
    assert.strictEqual(after.labels[`${key}-next`], PermitProtocol.several)
    assert.deepInclude(after.annotations, turnsOf("e", "f"))
  })

  it("go on by themselves if those that leave wait again, also where others let waiters in fast", () => {
    const again = { holderId: "pod/gggggggggggg.1", permits: 1, ttl: 10_000 }
    for (const isHurried of [false, true]) {
      const plan = leave(written, lease(a, "1"), { again, isHurried })
      const after = apply(written, plan.write)!
      assert.strictEqual(after.labels[`${key}-next`], "cccccccccccc")
      assert.deepInclude(after.annotations, turnsOf("d", "e", "f", "g"))
      assert.isUndefined(PermitProtocol.readAnswer(two, plan, after).write)
    }
  })

  it("do not serve a release in a hurry if they are not those of the waiters, or too few are left", () => {
    const wrong = { ...written, annotations: { ...written.annotations, ...turnsOf("f", "e", "d") } }
    for (const [seen, passed] of [
      [wrong, 0],
      [written, 4]
    ] as const) {
      const { write } = leave(seen, lease(a, "1"), { passed, isHurried: true })
      assert.notProperty(write, "copies")
    }
  })

  it("are written down for a single waiter only by a process that waits again", () => {
    const again = { holderId: "pod/gggggggggggg.1", permits: 1, ttl: 10_000 }
    const found = objectWith(two, lease(a, "1"), lease(b, "2"), ...waiters.slice(0, 2))
    for (const waitsAgain of [true, false]) {
      const plan = leave(found, lease(a, "1"), { again: waitsAgain ? again : undefined })
      const { write } = PermitProtocol.readAnswer(two, plan, apply(found, plan.write)!)
      assert.strictEqual(write?.annotations[`${key}-turn-1`], waitsAgain ? "dddddddddddd" : undefined)
    }
  })

  it("are written down in a hurry only by a process that waits again", () => {
    const again = { holderId: "pod/gggggggggggg.1", permits: 1, ttl: 10_000 }
    for (const waitsAgain of [true, false]) {
      const plan = leave(line, lease(a, "1"), { isHurried: true, again: waitsAgain ? again : undefined })
      const { write } = PermitProtocol.readAnswer(two, plan, apply(line, plan.write)!)
      const due = Object.keys(write?.annotations ?? {}).filter((name) => name.startsWith(`${key}-turn-`))
      assert.strictEqual(due.length > 0, waitsAgain)
    }
  })

  it("end at a gap", () => {
    const gap = { ...written, annotations: { ...written.annotations, [`${key}-turn-3`]: "none" } }
    const plan = leave(gap, lease(a, "1"))
    const { write } = PermitProtocol.readAnswer(two, plan, apply(gap, plan.write)!)
    assert.deepStrictEqual(write?.annotations, turnsOf("d", "e", "f"))
  })

  it("that are not those of the line are corrected, and nobody is left asleep", () => {
    const wrong = { ...written, annotations: { ...written.annotations, ...turnsOf("f", "e", "d") } }
    const plan = leave(wrong, lease(a, "1"))
    const after = apply(wrong, plan.write)!
    const { otherwise, write } = PermitProtocol.readAnswer(two, plan, after)
    assert.strictEqual(write?.labels?.[`${key}-next`], "cccccccccccc")
    assert.deepStrictEqual(write?.annotations, turnsOf("d", "e", "f"))
    assert.strictEqual(otherwise?.labels?.[`${key}-next`], "cccccccccccc")
    assert.deepStrictEqual(otherwise?.annotations, {})
  })

  it("do not stay when nobody is in the line any more", () => {
    const last = objectWith(two, lease(a, "1"))
    const seen = { ...last, annotations: { ...last.annotations, ...turnsOf() }, labels: written.labels }
    const after = apply(seen, leave(seen, lease(a, "1")).write)!
    assert.deepStrictEqual(after.annotations, {})
  })
})

describe("PermitProtocol.planBreak", () => {
  it("removes one lease, and wakes whom that lets in", () => {
    const found = objectWith(two, lease(a, "1"), lease(b, "2"), lease(c, "3"))
    assert.deepStrictEqual(PermitProtocol.planBreak(two, found, a), {
      expect: { resourceVersion: "50" },
      annotations: two.removal(a),
      labels: { [`${key}-next`]: "cccccccccccc" }
    })
    assert.isUndefined(PermitProtocol.planBreak(two, found, d))
  })
})

// mulberry32
const randomOf = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}

describe("a release that a rule of the cluster refuses", () => {
  it("gives the same permits back without a label, on condition that the lease is the one last written", () => {
    const own = lease(a, "1", 2)
    const found = objectWith(two, own, lease(b, "2"))
    for (const [keeps, left] of [
      [1, [a, b]],
      [0, [b]]
    ] as const) {
      const write = PermitProtocol.plainLeave(two, leave(found, own, { keeps }))
      assert.notProperty(write, "labels")
      const line = PermitRecord.placed(two.decode(apply(found, write)!.annotations))
      assert.deepStrictEqual(
        line.map(({ granted, holderId }) => [holderId, granted]),
        left.map((holderId) => [holderId, 1])
      )
      assert.isUndefined(apply(objectWith(two, lease(a, "1", 2, past)), write))
    }
  })
})

describe("whether others wait", () => {
  it("is not said of the one that asks, nor of those that hold", () => {
    const found = objectWith(two, lease(a, "1"), lease(b, "2", 2)).annotations
    assert.isFalse(PermitProtocol.isAwaited(two, found, b))
    assert.isTrue(PermitProtocol.isAwaited(two, found, a))
  })
})

describe("what is left of a line", () => {
  it("is removed only if nobody has come since", () => {
    const left = { ...objectWith(two), labels: { [`${key}-next`]: "aaaaaaaaaaaa" } }
    const write = PermitProtocol.tidy(two, left)!
    assert.deepStrictEqual({ ...apply(left, write) }, { ...left, resourceVersion: "51", annotations: {}, labels: {} })
    const joined = apply(left, PermitProtocol.join(now, asking(b), left))!
    assert.isUndefined(apply(joined, write))
  })

  it("is not joined: a line without its mark might be another kind of lock by now", () => {
    const join = PermitProtocol.join(now, asking(b), objectWith(two, lease(a, "1")))
    assert.isUndefined(apply(empty, join))
    assert.isUndefined(apply(objectWith(semaphore(3), lease(a, "1")), join))
    assert.isUndefined(apply({ ...empty, annotations: { [key]: expiry } }, join))
  })
})

describe("a join that arrives late", () => {
  const join = PermitProtocol.join(now, asking(a), undefined)

  it("adds a lease at the place of the version that it finds", () => {
    const joined = apply(objectWith(two, lease(b, "1", 2)), join)
    assert.deepInclude(joined?.annotations, two.encode(lease(a, "50")))
  })

  it("never moves a lease that is in the line, which may hold permits", () => {
    assert.isUndefined(apply(objectWith(two, lease(a, "1"), lease(b, "2", 2)), join))
    const again = { holderId: a, permits: 1, ttl: 10_000 }
    const { write } = leave(objectWith(two, lease(b, "2")), lease(b, "2"), { again })
    assert.isUndefined(apply(objectWith(two, lease(a, "1"), lease(b, "2")), write))
  })
})

describe("a line", () => {
  const walk = (kind: PermitProtocol.PermitKind, amounts: ReadonlyArray<number>, seed: number) => {
    const random = randomOf(seed)
    const pick = <A>(from: ReadonlyArray<A>): A => from[Math.floor(random() * from.length)]!
    let object = { ...empty, annotations: { other: "1" } as Readonly<Record<string, string>> }
    const versions: Array<ObjectSnapshot> = [object]
    const stale = () => versions[Math.max(0, versions.length - 1 - Math.floor(random() * 4))]!
    const line = () => PermitRecord.placed(kind.decode(object.annotations))
    let sequence = 0
    for (let step = 0; step < 200; step++) {
      const seen = stale()
      const before = line()
      const known = PermitRecord.placed(kind.decode(seen.annotations))
      // A stranger deletes what the line says of itself.
      if (random() < 0.05) {
        object = apply(object, { expect: { annotations: {} }, annotations: { [key]: null } })!
        versions.push(object)
      }
      const own = known.length > 0 && random() < 0.6 ? pick(known) : undefined
      const holderId = `pod/${pick(["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"])}.${(sequence++).toString(36)}`
      const amount = pick(amounts)
      let write: ConditionalPatch | undefined
      if (own === undefined) {
        const contender = asking(holderId, amount, kind)
        const decision = decide(seen, contender)
        if (decision._tag === "Acquire") {
          write = { expect: { resourceVersion: seen.resourceVersion }, annotations: decision.patch }
        } else if (decision._tag === "Wait" && decision.canJoin) write = PermitProtocol.join(now, contender, seen)
      } else {
        const keeps = random() < 0.3 ? Math.floor(own.permits / 2) : 0
        const plan = leave(seen, lease(own.holderId, own.place, own.permits), { keeps, passed: pick([0, 1]) }, kind)
        write = plan.write
      }
      const next = write && apply(object, write)
      if (next === undefined) continue
      object = next
      versions.push(next)
      const after = line()
      const total = after.reduce((sum, { granted }) => sum + granted, 0)
      assert.isAtMost(total, kind.permits.limit, `seed ${seed}`)
      for (const { granted, holderId, permits } of before) {
        const still = after.find((lease) => lease.holderId === holderId)
        if (still !== undefined && still.permits === permits) assert.isAtLeast(still.granted, granted, `seed ${seed}`)
      }
      const holders = after.filter((lease) => !PermitProtocol.isWaiting(lease))
      assert.deepStrictEqual(after.slice(0, holders.length), holders, `seed ${seed}`)
      const isBlocked = after[holders.length]
      if (isBlocked !== undefined) assert.isAbove(isBlocked.permits, PermitRecord.free(kind.permits.limit, holders))
      assert.strictEqual(object.annotations["other"], "1")
    }
  }

  it("grants no more than there is, takes nothing back, and lets nobody pass, whatever is outdated", () => {
    for (let seed = 1; seed <= 10; seed++) {
      walk(semaphore(3), [1, 1, 2, 3], seed)
      walk(shared, [1, shared.permits.limit], seed)
    }
  })
})
