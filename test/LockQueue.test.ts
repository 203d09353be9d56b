import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as LockPolicy from "../src/LockPolicy.ts"
import * as LockQueue from "../src/LockQueue.ts"
import type { MetadataPatch } from "../src/ObjectStore.ts"

const key = "example.com/lock"
const queueKey = LockQueue.queueKey(key)
const named = (process: string, acquisition = 1) => LockQueue.holderId("pod", process, acquisition)
const a = named("aaaaaaaaaaaa")
const b = named("bbbbbbbbbbbb")
const c = named("cccccccccccc")
const joinedAt = (version: string, ...holders: ReadonlyArray<string>): Record<string, string> =>
  Object.fromEntries(holders.map((holder) => [LockQueue.joinKey(key, holder), `${holder}@${version}`]))
const joined = (...holders: ReadonlyArray<string>) => joinedAt("7", ...holders)
const waiting = (annotations: Record<string, string>) => LockQueue.fromAnnotations(key, annotations).waiters
const many = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => named("dddddddddddd", from + index))

/** The annotations as they are after a write. */
const apply = (annotations: Readonly<Record<string, string>>, patch: MetadataPatch): Record<string, string> => {
  const after: Record<string, string | null> = { ...annotations, ...patch }
  return Object.fromEntries(Object.entries(after).flatMap(([name, value]) => (value === null ? [] : [[name, value]])))
}

describe("a queue with more joins than a JSON patch can remove", () => {
  it("leaves the rest to the next release", () => {
    const junk = Object.fromEntries(
      Array.from({ length: 5000 }, (_, index) => [`${queueKey}-${index}`, "junk"] as const)
    )
    const queue = LockQueue.fromAnnotations(key, junk)
    const removed = Object.keys(LockQueue.queuePatch(key, queue, { waiters: [], chainStartedAt: undefined }))
    assert.lengthOf(removed, LockQueue.maxJoins)
    assert.isAtMost(3 * (removed.length + 10), 10_000)
  })
})

describe("LockQueue.fromAnnotations", () => {
  const cases: ReadonlyArray<
    readonly [what: string, annotations: Record<string, string>, waiting: ReadonlyArray<string>, since?: number]
  > = [
    ["nothing", {}, []],
    ["a queue, in its order", { [queueKey]: `${b} ${a} ${c}` }, [b, a, c]],
    ["a join", joined(a), [a]],
    ["joins after the queue", { ...joined(a, b), [queueKey]: c }, [c, a, b]],
    ["joins in the order of their versions", { ...joinedAt("10", a, b), ...joinedAt("9", c) }, [c, a, b]],
    ["a join that found no object before all others", { ...joined(a), ...joinedAt("0", b) }, [b, a]],
    ["a join that is already in the queue once", { ...joined(b, c), [queueKey]: `${b} ${a}` }, [b, a, c]],
    ["a name that is there twice at its first position", { [queueKey]: `${a} ${b} ${a}` }, [a, b]],
    ["when the lock was last free", { [queueKey]: `since=1795515600000 ${a}` }, [a], 1_795_515_600_000],
    ["when the lock was last free, in an empty queue", { [queueKey]: "since=5" }, [], 5],
    ["no such time if it is not a number", { [queueKey]: `since=soon ${a}` }, [a]],
    ["no such time if it has too many digits", { [queueKey]: `since=1234567890123456 ${a}` }, [a]],
    ["no such time if it is not at the beginning", { [queueKey]: `${a} since=5` }, [a]],
    ["no more waiters than the capacity", { [queueKey]: many(200).join(" ") }, many(LockQueue.capacity)],
    ["a join after a full queue", { [queueKey]: many(128).join(" "), ...joined(a) }, [...many(128), a]],
    ["an empty queue", { [queueKey]: "" }, []],
    ["no text that is not a name", { [queueKey]: ` ${a}  x ☃ "${b}" ${b},${c} pod/aaaaaaaaaaaa\n ${c} ` }, [a, c]],
    ["no name whose identity is too long", { [queueKey]: `${"x".repeat(64)}/aaaaaaaaaaaa.1 ${a}` }, [a]],
    [
      "no name with an invalid process ID",
      { [queueKey]: `pod/AAAAAAAAAAAA.1 pod/aaaaaaaaaaa.1 pod/aaaaaaaaaaaaa.1` },
      []
    ],
    [
      "no name with an invalid acquisition number",
      { [queueKey]: `pod/aaaaaaaaaaaa. pod/aaaaaaaaaaaa.A pod/aaaaaaaaaaaa.${"1".repeat(12)}` },
      []
    ],
    ["no join in the name of another", { [LockQueue.joinKey(key, a)]: `${b}@7`, ...joined(c) }, [c]],
    ["no join of two", { [LockQueue.joinKey(key, a)]: `${a} ${b}@7` }, []],
    ["no join without a version", { [LockQueue.joinKey(key, a)]: a, ...joinedAt("", b) }, []],
    ["no join with an invalid version", { ...joinedAt("7x", a), ...joinedAt("1".repeat(21), b) }, []],
    ["nothing from the annotations of another lock", { [`${key}2-queue`]: a, "example.com/queue": b }, []],
    ["nothing from the annotations of the lock itself", { [key]: a, [`${key}-holder`]: b, [`${key}-queued`]: c }, []]
  ]
  for (const [what, annotations, waiting, since] of cases) {
    it(`reads ${what}`, () => {
      const queue = LockQueue.fromAnnotations(key, annotations)
      assert.deepStrictEqual(queue.waiters, waiting)
      assert.strictEqual(queue.chainStartedAt, since)
    })
  }

  it("keeps every annotation of the queue as it was, also those that it cannot parse", () => {
    const found = { [`${queueKey}-x`]: "y", [LockQueue.joinKey(key, a)]: `${b}@7`, [queueKey]: "☃" }
    const queue = LockQueue.fromAnnotations(key, { ...found, [key]: "1", [`${key}-holder`]: "2", other: "3" })
    assert.deepStrictEqual(queue.annotations, found)
  })
})

describe("LockQueue.queuePatch", () => {
  const patch = (
    annotations: Record<string, string>,
    next: { readonly waiters: ReadonlyArray<string>; readonly chainStartedAt?: number }
  ) => LockQueue.queuePatch(key, LockQueue.fromAnnotations(key, annotations), { chainStartedAt: undefined, ...next })

  it("writes the queue, and removes joins and what it cannot parse", () => {
    const found = { [queueKey]: a, ...joined(b), [`${queueKey}-x`]: "y" }
    assert.deepStrictEqual(patch(found, { waiters: [a, b] }), {
      [queueKey]: `${a} ${b}`,
      [LockQueue.joinKey(key, b)]: null,
      [`${queueKey}-x`]: null
    })
  })

  it("writes the start of the hand-over chain", () => {
    assert.deepStrictEqual(patch({}, { waiters: [a], chainStartedAt: 5 }), { [queueKey]: `since=5 ${a}` })
  })

  it("leaves nothing of an empty queue but the start of its chain", () => {
    const found = { [queueKey]: `since=5 ${a}`, ...joined(b) }
    assert.deepStrictEqual(apply(found, patch(found, { waiters: [], chainStartedAt: 5 })), { [queueKey]: "since=5" })
    assert.deepStrictEqual(apply(found, patch(found, { waiters: [] })), {})
    assert.deepStrictEqual(patch({}, { waiters: [] }), {})
  })

  it("writes no more waiters than the capacity", () => {
    assert.deepStrictEqual(patch({}, { waiters: many(200) }), { [queueKey]: many(LockQueue.capacity).join(" ") })
  })
})

describe("a queue under several keys", () => {
  const other = "example.com/other-lock"
  const [d, e] = [named("dddddddddddd"), named("eeeeeeeeeeee")]
  const found = { [queueKey]: `${a} ${b}`, ...joined(c), [`${other}-queue`]: d, ...LockQueue.joinPatch(other, e, "7") }
  const queue = LockQueue.fromAnnotations(key, found, [other])

  it("has waiters that take turns, those of the other key first", () => {
    assert.deepStrictEqual(queue.waiters, [d, a, e, b, c])
    assert.deepStrictEqual(
      [d, a].map((waiter) => LockQueue.keyOf(key, queue, waiter)),
      [other, key]
    )
  })

  it("is as if there were one, if nobody stands under the other", () => {
    const own = { [queueKey]: a, ...joined(b) }
    assert.deepStrictEqual(LockQueue.fromAnnotations(key, own, [other]), LockQueue.fromAnnotations(key, own))
  })

  it("is written under the key of each waiter, and its joins are removed", () => {
    const patch = LockQueue.queuePatch(key, queue, { waiters: [a, e, b], chainStartedAt: 5 })
    assert.deepStrictEqual(apply(found, patch), { [queueKey]: `since=5 ${a} ${b}`, [`${other}-queue`]: e })
    assert.deepStrictEqual(
      apply(found, LockQueue.queuePatch(key, queue, { waiters: [], chainStartedAt: undefined })),
      {}
    )
  })

  it("has a waiter once that is there twice, under the lock's own key", () => {
    const twice = LockQueue.fromAnnotations(key, { [queueKey]: a, [`${other}-queue`]: `${a} ${b}` }, [other])
    assert.deepStrictEqual(twice.waiters, [b, a])
    assert.strictEqual(LockQueue.keyOf(key, twice, a), key)
  })

  it("is handed over on condition that it is as it was read, under both keys", () => {
    assert.deepStrictEqual(LockQueue.precondition(key, queue), found)
  })
})

describe("LockQueue.leavePatch", () => {
  it("removes the waiter from the queue, on condition that the queue has not changed", () => {
    assert.deepStrictEqual(LockQueue.leavePatch(key, { [queueKey]: `since=5 ${a} ${b} ${c}` }, b), {
      expect: { annotations: { [queueKey]: `since=5 ${a} ${b} ${c}` } },
      annotations: { [queueKey]: `since=5 ${a} ${c}` }
    })
  })

  it("removes the join of the waiter", () => {
    assert.deepStrictEqual(LockQueue.leavePatch(key, { [queueKey]: a, ...joined(b, c) }, b), {
      expect: { annotations: joined(b) },
      annotations: { [LockQueue.joinKey(key, b)]: null }
    })
  })

  it("removes the waiter from the queue and its join", () => {
    assert.deepStrictEqual(LockQueue.leavePatch(key, { [queueKey]: `${a} ${b}`, ...joined(b) }, b), {
      expect: { annotations: { [queueKey]: `${a} ${b}`, ...joined(b) } },
      annotations: { [queueKey]: a, [LockQueue.joinKey(key, b)]: null }
    })
  })

  it("leaves nothing when the last waiter leaves, not even what cannot be parsed", () => {
    for (const last of [a, `since=5 ${a}`, `since=5 ${a} ☃ ${a}`]) {
      assert.deepStrictEqual(LockQueue.leavePatch(key, { [queueKey]: last }, a)?.annotations, { [queueKey]: null })
    }
  })

  it("is undefined if the waiter is not there, or if another forged its join", () => {
    assert.isUndefined(LockQueue.leavePatch(key, {}, a))
    assert.isUndefined(LockQueue.leavePatch(key, { [queueKey]: `${b} ${c}`, ...joined(b) }, a))
    assert.isUndefined(LockQueue.leavePatch(key, { [LockQueue.joinKey(key, a)]: `${b}@7` }, a))
    assert.isUndefined(LockQueue.leavePatch(key, joined(named("aaaaaaaaaaaa", 2)), a))
  })
})

describe("LockQueue.precondition", () => {
  const precondition = (annotations: Record<string, string>) =>
    LockQueue.precondition(key, LockQueue.fromAnnotations(key, annotations))

  it("requires the queue as it was read, and allows joins that came since", () => {
    assert.deepStrictEqual(precondition({ [queueKey]: `${a} ${b}`, ...joined(c), [key]: "1" }), {
      [queueKey]: `${a} ${b}`,
      ...joined(c)
    })
  })

  it("requires that nobody has written a queue if there was none", () => {
    assert.deepStrictEqual(precondition({}), { [queueKey]: false })
    assert.deepStrictEqual(precondition(joined(c)), { [queueKey]: false, ...joined(c) })
  })
})

describe("holder IDs", () => {
  it("begin with the identity: its valid characters, at most 63", () => {
    const process = LockQueue.newProcessId()
    const identities: ReadonlyArray<readonly [identity: string, kept: string]> = [
      ["dex-7b9c.prod_1", "dex-7b9c.prod_1"],
      ["a b/c@d=e\nf", "a-b-c-d-e-f"],
      ["ünï☃", "-n--"],
      ["", "kubelock"],
      ["x".repeat(64), "x".repeat(63)]
    ]
    for (const [identity, kept] of identities)
      assert.strictEqual(LockQueue.holderId(identity, process, 71), `${kept}/${process}.1z`)
  })

  it("can be parsed, for any identity and any number of acquisitions", () => {
    const process = LockQueue.newProcessId()
    for (const identity of ["pod", "ü b", "", "-", ".", "x".repeat(300)]) {
      for (const acquisition of [0, 1, 35, 36, Number.MAX_SAFE_INTEGER]) {
        const holder = LockQueue.holderId(identity, process, acquisition)
        assert.strictEqual(LockQueue.processIdOf(holder), process)
        assert.deepStrictEqual(waiting({ [queueKey]: holder }), [holder])
        assert.deepStrictEqual(waiting(joined(holder)), [holder])
      }
    }
  })

  it("have no process ID if they are malformed, as in Dex's lock or in a forged one", () => {
    for (const name of ["", "pod", "pod/", "pod/aaaaaaaaaaaa", `${a} ${b}`]) {
      assert.strictEqual(LockQueue.processIdOf(name), "")
    }
  })

  it("have a process ID that no other process has", () => {
    const processes = Array.from({ length: 1000 }, LockQueue.newProcessId)
    assert.lengthOf(new Set(processes), 1000)
    for (const process of processes) assert.match(process, /^[a-z0-9]{12}$/)
  })
})

describe("the keys on the object", () => {
  // Kubernetes: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
  const name = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/

  it("are valid in Kubernetes, also with the longest annotation name of a policy", () => {
    const longest = `example.com/${"k".repeat(44)}`
    const key = LockPolicy.make({ annotation: longest }).annotation ?? ""
    const keys = [LockQueue.queueKey(key), LockQueue.joinKey(key, a), LockQueue.labelKey(key)]
    for (const each of keys) assert.match(each.split("/")[1]!, name)
    assert.match(LockQueue.processIdOf(a), name)
    assert.throws(() => LockPolicy.make({ annotation: `${longest}k` }), RangeError)
  })

  it("are all different, and only those of the queue and of joins are read as the queue", () => {
    const keys = [key, `${key}-holder`, queueKey, LockQueue.joinKey(key, a), LockQueue.labelKey(key)]
    assert.lengthOf(new Set(keys), keys.length)
    const all = Object.fromEntries(keys.map((key) => [key, a]))
    assert.deepStrictEqual(Object.keys(LockQueue.fromAnnotations(key, all).annotations).toSorted(), [
      queueKey,
      LockQueue.joinKey(key, a)
    ])
  })
})

/** Contenders that meet often: few processes, few acquisitions. */
const Contender = Schema.Struct({
  process: Schema.Literals(["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"]),
  acquisition: Schema.Literals([1, 2, 3])
})
/** One word of a queue: a holder ID, a time, or any text. */
const Token = Schema.Union([Contender, Schema.Literals(["since=7", "since=", "", " ", "-"]), Schema.String])
const Join = Schema.Struct({
  process: Schema.Union([Contender.fields.process, Schema.String]),
  value: Token,
  found: Schema.Literals(["@7", "@10", "@", ""])
})
const Annotations = Schema.Struct({ queue: Schema.Array(Token), joins: Schema.Array(Join) })

const tokenOf = (token: typeof Token.Type): string =>
  typeof token === "string" ? token : named(token.process, token.acquisition)
const annotationsOf = ({ joins, queue: tokens }: typeof Annotations.Type): Record<string, string> => ({
  ...(tokens.length === 0 ? {} : { [queueKey]: tokens.map(tokenOf).join(" ") }),
  ...Object.fromEntries(
    joins.map(({ found, process, value }) => [`${queueKey}-${process}`, `${tokenOf(value)}${found}`])
  ),
  "example.com/other": "o"
})
const everyContender = [1, 2, 3].flatMap((number) =>
  ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"].map((process) => named(process, number))
)

describe("with any annotations", () => {
  const runs = { arbitrary: { runs: 300 } }

  it.prop(
    "a queue is read with each name once, and each name is valid",
    [Annotations],
    ([given]) => {
      const { annotations, waiters: waiting } = LockQueue.fromAnnotations(key, annotationsOf(given))
      assert.lengthOf(new Set(waiting), waiting.length)
      for (const holder of waiting) assert.match(LockQueue.processIdOf(holder), /^[a-z0-9]{12}$/)
      assert.notProperty(annotations, "example.com/other")
    },
    runs
  )

  it.prop(
    "a queue that is written is read back, and nothing of the queue before it is left",
    [
      Annotations,
      Schema.Array(Contender),
      Schema.Union([Schema.Undefined, Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4e12 }))])
    ],
    ([given, wanted, since]) => {
      const before = annotationsOf(given)
      const next = { waiters: [...new Set(wanted.map(tokenOf))], chainStartedAt: since }
      const after = apply(before, LockQueue.queuePatch(key, LockQueue.fromAnnotations(key, before), next))
      const queue = LockQueue.fromAnnotations(key, after)
      assert.deepStrictEqual(queue.waiters, next.waiters)
      assert.strictEqual(queue.chainStartedAt, since)
      const isEmpty = next.waiters.length === 0 && since === undefined
      assert.sameMembers(Object.keys(after), ["example.com/other", ...(isEmpty ? [] : [queueKey])])
    },
    runs
  )

  it.prop(
    "a waiter that leaves is gone, the others keep their order, and a contender that was not there changes nothing",
    [Annotations],
    ([given]) => {
      const before = annotationsOf(given)
      for (const holder of everyContender) {
        const write = LockQueue.leavePatch(key, before, holder)
        if (write === undefined) {
          assert.notInclude(waiting(before), holder)
          continue
        }
        assert.deepStrictEqual(
          waiting(apply(before, write.annotations)),
          waiting(before).filter((other) => other !== holder)
        )
        if (!("annotations" in write.expect)) return assert.fail("a leave patch has annotations as its precondition")
        for (const [name, value] of Object.entries(write.expect.annotations)) assert.strictEqual(before[name], value)
        assert.isNotEmpty(write.expect.annotations)
      }
    },
    runs
  )

  it.prop(
    "a contender that joins is in the queue, behind all waiters that were there",
    [Annotations],
    ([given]) => {
      const before = annotationsOf(given)
      for (const holder of everyContender) {
        if (waiting(before).includes(holder)) continue
        const { [queueKey]: tokens = "" } = before
        const after = waiting(apply(before, LockQueue.joinPatch(key, holder, "8")))
        const queued = waiting({ [queueKey]: tokens })
        assert.deepStrictEqual(after.slice(0, queued.length), queued)
        assert.isAtLeast(after.indexOf(holder), queued.length)
      }
    },
    runs
  )
})
