import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as LockPolicy from "../src/LockPolicy.ts"
import * as LockQueue from "../src/LockQueue.ts"
import type { MetadataPatch } from "../src/ObjectStore.ts"

const key = "example.com/lock"
const line = LockQueue.queueKey(key)
const named = (process: string, wish = 1) => LockQueue.holderId("pod", process, wish)
const a = named("aaaaaaaaaaaa")
const b = named("bbbbbbbbbbbb")
const c = named("cccccccccccc")
const arrivedAt = (version: string, ...holders: ReadonlyArray<string>): Record<string, string> =>
  Object.fromEntries(holders.map((holder) => [LockQueue.joinKey(key, holder), `${holder}@${version}`]))
const arrived = (...holders: ReadonlyArray<string>) => arrivedAt("7", ...holders)
const waiting = (annotations: Record<string, string>) => LockQueue.fromAnnotations(key, annotations).waiters
const many = (count: number, from = 0) => Array.from({ length: count }, (_, wish) => named("dddddddddddd", from + wish))

/** The annotations as they are after a write. */
const apply = (annotations: Readonly<Record<string, string>>, changes: MetadataPatch): Record<string, string> => {
  const after: Record<string, string | null> = { ...annotations, ...changes }
  return Object.fromEntries(Object.entries(after).flatMap(([name, value]) => (value === null ? [] : [[name, value]])))
}

describe("joins beyond what a JSON patch can carry", () => {
  it("wait for the next release", () => {
    const junk = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`${line}-${index}`, "junk"] as const))
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
    ["a line, in its order", { [line]: `${b} ${a} ${c}` }, [b, a, c]],
    ["one who arrived", arrived(a), [a]],
    ["who arrived, after the line", { ...arrived(a, b), [line]: c }, [c, a, b]],
    ["who arrived, first who found the earlier version", { ...arrivedAt("10", a, b), ...arrivedAt("9", c) }, [c, a, b]],
    ["who found no object, before all others", { ...arrived(a), ...arrivedAt("0", b) }, [b, a]],
    ["one who arrived and stands in the line already, once", { ...arrived(b, c), [line]: `${b} ${a}` }, [b, a, c]],
    ["a line that names somebody twice, where it names them first", { [line]: `${a} ${b} ${a}` }, [a, b]],
    ["when the lock was last free", { [line]: `since=1795515600000 ${a}` }, [a], 1_795_515_600_000],
    ["when the lock was last free, and nobody", { [line]: "since=5" }, [], 5],
    ["no such time where it is none", { [line]: `since=soon ${a}` }, [a]],
    ["no such time where it has more digits than any", { [line]: `since=1234567890123456 ${a}` }, [a]],
    ["no such time where it is not the beginning", { [line]: `${a} since=5` }, [a]],
    ["no more than has room", { [line]: many(200).join(" ") }, many(LockQueue.capacity)],
    ["who arrived at a full line", { [line]: many(128).join(" "), ...arrived(a) }, [...many(128), a]],
    ["an empty line", { [line]: "" }, []],
    ["what is no name, not at all", { [line]: ` ${a}  x ☃ "${b}" ${b},${c} pod/aaaaaaaaaaaa\n ${c} ` }, [a, c]],
    ["a title that is too long, not at all", { [line]: `${"x".repeat(64)}/aaaaaaaaaaaa.1 ${a}` }, [a]],
    ["processes that are none, not at all", { [line]: `pod/AAAAAAAAAAAA.1 pod/aaaaaaaaaaa.1 pod/aaaaaaaaaaaaa.1` }, []],
    [
      "wishes that are none, not at all",
      { [line]: `pod/aaaaaaaaaaaa. pod/aaaaaaaaaaaa.A pod/aaaaaaaaaaaa.${"1".repeat(12)}` },
      []
    ],
    ["an arrival in another's name, not at all", { [LockQueue.joinKey(key, a)]: `${b}@7`, ...arrived(c) }, [c]],
    ["an arrival of two, not at all", { [LockQueue.joinKey(key, a)]: `${a} ${b}@7` }, []],
    ["an arrival without a version, not at all", { [LockQueue.joinKey(key, a)]: a, ...arrivedAt("", b) }, []],
    ["arrivals with what is no version, not at all", { ...arrivedAt("7x", a), ...arrivedAt("1".repeat(21), b) }, []],
    ["the annotations of another lock, not at all", { [`${key}2-queue`]: a, "example.com/queue": b }, []],
    ["the lock itself, not at all", { [key]: a, [`${key}-holder`]: b, [`${key}-queued`]: c }, []]
  ]
  for (const [what, annotations, waiting, since] of cases) {
    it(`reads ${what}`, () => {
      const queue = LockQueue.fromAnnotations(key, annotations)
      assert.deepStrictEqual(queue.waiters, waiting)
      assert.strictEqual(queue.chainStartedAt, since)
    })
  }

  it("remembers every annotation of the queue as it was, those that it cannot read included", () => {
    const theirs = { [`${line}-x`]: "y", [LockQueue.joinKey(key, a)]: `${b}@7`, [line]: "☃" }
    const queue = LockQueue.fromAnnotations(key, { ...theirs, [key]: "1", [`${key}-holder`]: "2", other: "3" })
    assert.deepStrictEqual(queue.annotations, theirs)
  })
})

describe("LockQueue.changes", () => {
  const changes = (
    annotations: Record<string, string>,
    next: { readonly waiters: ReadonlyArray<string>; readonly chainStartedAt?: number }
  ) => LockQueue.queuePatch(key, LockQueue.fromAnnotations(key, annotations), { chainStartedAt: undefined, ...next })

  it("writes the line, and takes away who arrived and what cannot be read", () => {
    const found = { [line]: a, ...arrived(b), [`${line}-x`]: "y" }
    assert.deepStrictEqual(changes(found, { waiters: [a, b] }), {
      [line]: `${a} ${b}`,
      [LockQueue.joinKey(key, b)]: null,
      [`${line}-x`]: null
    })
  })

  it("writes since when the lock goes from hand to hand", () => {
    assert.deepStrictEqual(changes({}, { waiters: [a], chainStartedAt: 5 }), { [line]: `since=5 ${a}` })
  })

  it("leaves nothing of a queue in which nobody is", () => {
    const found = { [line]: `since=5 ${a}`, ...arrived(b) }
    assert.deepStrictEqual(apply(found, changes(found, { waiters: [], chainStartedAt: 5 })), {})
    assert.deepStrictEqual(changes({}, { waiters: [] }), {})
  })

  it("writes no more than has room", () => {
    assert.deepStrictEqual(changes({}, { waiters: many(200) }), { [line]: many(LockQueue.capacity).join(" ") })
  })
})

describe("LockQueue.departure", () => {
  it("is from the line, under the condition that it is as it was", () => {
    assert.deepStrictEqual(LockQueue.leavePatch(key, { [line]: `since=5 ${a} ${b} ${c}` }, b), {
      expect: { annotations: { [line]: `since=5 ${a} ${b} ${c}` } },
      annotations: { [line]: `since=5 ${a} ${c}` }
    })
  })

  it("is from where one arrived", () => {
    assert.deepStrictEqual(LockQueue.leavePatch(key, { [line]: a, ...arrived(b, c) }, b), {
      expect: { annotations: arrived(b) },
      annotations: { [LockQueue.joinKey(key, b)]: null }
    })
  })

  it("is from both", () => {
    assert.deepStrictEqual(LockQueue.leavePatch(key, { [line]: `${a} ${b}`, ...arrived(b) }, b), {
      expect: { annotations: { [line]: `${a} ${b}`, ...arrived(b) } },
      annotations: { [line]: a, [LockQueue.joinKey(key, b)]: null }
    })
  })

  it("leaves nothing where the last one leaves, not even what nobody can read", () => {
    for (const last of [a, `since=5 ${a}`, `since=5 ${a} ☃ ${a}`]) {
      assert.deepStrictEqual(LockQueue.leavePatch(key, { [line]: last }, a)?.annotations, { [line]: null })
    }
  })

  it("is none for who is not there, nor from what another forged in one's name", () => {
    assert.isUndefined(LockQueue.leavePatch(key, {}, a))
    assert.isUndefined(LockQueue.leavePatch(key, { [line]: `${b} ${c}`, ...arrived(b) }, a))
    assert.isUndefined(LockQueue.leavePatch(key, { [LockQueue.joinKey(key, a)]: `${b}@7` }, a))
    assert.isUndefined(LockQueue.leavePatch(key, arrived(named("aaaaaaaaaaaa", 2)), a))
  })
})

describe("LockQueue.condition", () => {
  const condition = (annotations: Record<string, string>) =>
    LockQueue.precondition(key, LockQueue.fromAnnotations(key, annotations))

  it("wants the queue as it was read, and minds nobody who arrived since", () => {
    assert.deepStrictEqual(condition({ [line]: `${a} ${b}`, ...arrived(c), [key]: "1" }), {
      [line]: `${a} ${b}`,
      ...arrived(c)
    })
  })

  it("wants no line to have been written where there was none", () => {
    assert.deepStrictEqual(condition({}), { [line]: false })
    assert.deepStrictEqual(condition(arrived(c)), { [line]: false, ...arrived(c) })
  })
})

describe("the names of contenders", () => {
  it("have what of a title may stand in them, at most 63 characters", () => {
    const process = LockQueue.newProcessId()
    const titles: ReadonlyArray<readonly [title: string, kept: string]> = [
      ["dex-7b9c.prod_1", "dex-7b9c.prod_1"],
      ["a b/c@d=e\nf", "a-b-c-d-e-f"],
      ["ünï☃", "-n--"],
      ["", "kubelock"],
      ["x".repeat(64), "x".repeat(63)]
    ]
    for (const [title, kept] of titles)
      assert.strictEqual(LockQueue.holderId(title, process, 71), `${kept}/${process}.1z`)
  })

  it("are those that can be read, of any title and as many wishes as there can be", () => {
    const process = LockQueue.newProcessId()
    for (const title of ["pod", "ü b", "", "-", ".", "x".repeat(300)]) {
      for (const wish of [0, 1, 35, 36, Number.MAX_SAFE_INTEGER]) {
        const holder = LockQueue.holderId(title, process, wish)
        assert.strictEqual(LockQueue.processIdOf(holder), process)
        assert.deepStrictEqual(waiting({ [line]: holder }), [holder])
        assert.deepStrictEqual(waiting(arrived(holder)), [holder])
      }
    }
  })

  it("are of no process where they are no names: Dex's lock, or a forged one", () => {
    for (const name of ["", "pod", "pod/", "pod/aaaaaaaaaaaa", `${a} ${b}`]) {
      assert.strictEqual(LockQueue.processIdOf(name), "")
    }
  })

  it("are of a process of their own", () => {
    const processes = Array.from({ length: 1000 }, LockQueue.newProcessId)
    assert.lengthOf(new Set(processes), 1000)
    for (const process of processes) assert.match(process, /^[a-z0-9]{12}$/)
  })
})

describe("the keys on the object", () => {
  // Kubernetes: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
  const name = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/

  it("are such as Kubernetes allows, with the longest key that a policy may have", () => {
    const longest = `example.com/${"k".repeat(44)}`
    const { annotation: key } = LockPolicy.make({ annotation: longest })
    const keys = [LockQueue.queueKey(key), LockQueue.joinKey(key, a), LockQueue.labelKey(key)]
    for (const each of keys) assert.match(each.split("/")[1]!, name)
    assert.match(LockQueue.processIdOf(a), name)
    assert.throws(() => LockPolicy.make({ annotation: `${longest}k` }), RangeError)
  })

  it("are all different, and none but the line and who arrived is read as the queue", () => {
    const keys = [key, `${key}-holder`, line, LockQueue.joinKey(key, a), LockQueue.labelKey(key)]
    assert.lengthOf(new Set(keys), keys.length)
    const all = Object.fromEntries(keys.map((key) => [key, a]))
    assert.deepStrictEqual(Object.keys(LockQueue.fromAnnotations(key, all).annotations).toSorted(), [
      line,
      LockQueue.joinKey(key, a)
    ])
  })
})

/** Contenders that meet each other: few processes, few wishes. */
const Contender = Schema.Struct({
  process: Schema.Literals(["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"]),
  wish: Schema.Literals([1, 2, 3])
})
/** What stands in a line: a contender, the mark of a time, or whatever. */
const Token = Schema.Union([Contender, Schema.Literals(["since=7", "since=", "", " ", "-"]), Schema.String])
const Arrival = Schema.Struct({
  process: Schema.Union([Contender.fields.process, Schema.String]),
  value: Token,
  found: Schema.Literals(["@7", "@10", "@", ""])
})
const Annotations = Schema.Struct({ line: Schema.Array(Token), arrivals: Schema.Array(Arrival) })

const tokenOf = (token: typeof Token.Type): string =>
  typeof token === "string" ? token : named(token.process, token.wish)
const annotationsOf = ({ arrivals, line: tokens }: typeof Annotations.Type): Record<string, string> => ({
  ...(tokens.length === 0 ? {} : { [line]: tokens.map(tokenOf).join(" ") }),
  ...Object.fromEntries(
    arrivals.map(({ found, process, value }) => [`${line}-${process}`, `${tokenOf(value)}${found}`])
  ),
  "example.com/other": "o"
})
const anybody = [1, 2, 3].flatMap((wish) => ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"].map((p) => named(p, wish)))

describe("of any annotations whatsoever", () => {
  const runs = { arbitrary: { runs: 300 } }

  it.prop(
    "a queue is read: each name once, and each is a contender's",
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
    "a queue that is written is read as it was written, and nothing else is left of the one before",
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
      assert.strictEqual(queue.chainStartedAt, next.waiters.length === 0 ? undefined : since)
      assert.sameMembers(Object.keys(after), ["example.com/other", ...(next.waiters.length === 0 ? [] : [line])])
    },
    runs
  )

  it.prop(
    "who leaves is gone, all others keep their order, and who was not there changes nothing",
    [Annotations],
    ([given]) => {
      const before = annotationsOf(given)
      for (const holder of anybody) {
        const write = LockQueue.leavePatch(key, before, holder)
        if (write === undefined) {
          assert.notInclude(waiting(before), holder)
          continue
        }
        assert.deepStrictEqual(
          waiting(apply(before, write.annotations)),
          waiting(before).filter((other) => other !== holder)
        )
        if (!("annotations" in write.expect)) return assert.fail("a departure is a write under annotations")
        for (const [name, value] of Object.entries(write.expect.annotations)) assert.strictEqual(before[name], value)
        assert.isNotEmpty(write.expect.annotations)
      }
    },
    runs
  )

  it.prop(
    "who arrives is in the queue, behind all who stood in the line",
    [Annotations],
    ([given]) => {
      const before = annotationsOf(given)
      for (const holder of anybody) {
        if (waiting(before).includes(holder)) continue
        const { [line]: tokens = "" } = before
        const after = waiting(apply(before, LockQueue.joinPatch(key, holder, "8")))
        const stood = waiting({ [line]: tokens })
        assert.deepStrictEqual(after.slice(0, stood.length), stood)
        assert.isAtLeast(after.indexOf(holder), stood.length)
      }
    },
    runs
  )
})
