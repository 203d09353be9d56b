import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as LockKind from "../src/LockKind.ts"
import * as LockPolicy from "../src/LockPolicy.ts"
import * as LockProtocol from "../src/LockProtocol.ts"
import * as LockQueue from "../src/LockQueue.ts"
import * as LockRecord from "../src/LockRecord.ts"
import type { ServerTime } from "../src/ObjectStore.ts"

const key = "example.com/lock"
const expiry = "2026-11-24T10:20:00Z"
const at = 1_795_515_600_000
const exactly = (millis: number) => ({ earliest: millis, latest: millis })
const named = (process: string) => LockQueue.holderId("pod", process, 1)
const kind = LockKind.exclusive(key)
const contender = (process: string) => ({ kind, holderId: named(process), ttl: 10_000, renews: true, yields: false })
const me = contender("aaaaaaaaaaaa")
const you = named("bbbbbbbbbbbb")
const third = named("cccccccccccc")
const fourth = contender("dddddddddddd")
const record = (annotations: Record<string, string>) => LockRecord.fromAnnotations(key, annotations)
const dexLock = record({ [key]: expiry })
const heldBy = (holder: string) => ({ ...LockRecord.toAnnotations(key, { holderId: holder, expiry }) })
const lockOf = (holder: string) => record(heldBy(holder))

describe("LockProtocol.lockState", () => {
  const cases: ReadonlyArray<readonly [string, LockRecord.LockRecord, number, LockProtocol.LockState]> = [
    ["no annotation", record({}), at, { _tag: "Free" }],
    ["before the expiry", dexLock, at - 1, { _tag: "Held", until: at, expiry }],
    ["at the expiry itself", dexLock, at, { _tag: "Held", until: at, expiry }],
    ["strictly after the expiry", dexLock, at + 1, { _tag: "Expired", since: at, expiry }],
    ["a lock with a holder", lockOf("a"), at, { _tag: "Held", until: at, expiry, holder: "a" }],
    ["an expiry that Go cannot parse", record({ [key]: "soon" }), at, { _tag: "Malformed", key, value: "soon" }]
  ]
  it.each(cases)("%s", (_, record, now, expected) => {
    assert.deepStrictEqual(LockProtocol.lockState(record, exactly(now)), expected)
  })

  it("does not call a lock expired that may still be valid by the server's clock", () => {
    assert.strictEqual(LockProtocol.lockState(dexLock, { earliest: at, latest: at + 60_000 })._tag, "Held")
    assert.strictEqual(LockProtocol.lockState(dexLock, { earliest: at + 1, latest: at + 60_000 })._tag, "Expired")
  })
})

const decide = (annotations: Record<string, string>, now: ServerTime, contender: LockProtocol.Contender) =>
  LockProtocol.decide(record(annotations), LockQueue.fromAnnotations(key, annotations), now, contender)

describe("LockProtocol.decide", () => {
  it("acquires a free lock", () => {
    assert.deepStrictEqual(decide({}, exactly(at), me), {
      _tag: "Acquire",
      lease: { holderId: me.holderId, expiry: "2026-11-24T10:20:10Z" },
      patch: LockRecord.toAnnotations(key, { holderId: me.holderId, expiry: "2026-11-24T10:20:10Z" }),
      tookOverFrom: undefined
    })
  })

  it("takes over an expired lock", () => {
    assert.deepInclude(decide({ [key]: expiry }, exactly(at + 1), me), { _tag: "Acquire", tookOverFrom: { expiry } })
  })

  it("waits for a held lock, and may join the queue if the holder has an ID", () => {
    assert.deepStrictEqual(decide({ [key]: expiry }, exactly(at), me), {
      _tag: "Wait",
      seen: { expiry },
      until: at,
      position: undefined,
      canJoin: false,
      isFull: false
    })
    assert.deepStrictEqual(decide(heldBy(you), exactly(at), me), {
      _tag: "Wait",
      seen: { expiry, holder: you },
      until: at,
      position: undefined,
      canJoin: true,
      isFull: false
    })
  })

  it("knows its position in the queue", () => {
    const queue = { [LockQueue.queueKey(key)]: `${third} ${me.holderId}` }
    assert.deepInclude(decide({ ...heldBy(you), ...queue }, exactly(at), me), {
      position: 1,
      canJoin: false,
      isFull: false
    })
    const joined = { ...queue, [LockQueue.joinKey(key, fourth.holderId)]: `${fourth.holderId}@7` }
    assert.deepInclude(decide({ ...heldBy(you), ...joined }, exactly(at), fourth), {
      position: 2,
      canJoin: false,
      isFull: false
    })
  })

  it("does not join a queue that is full", () => {
    const names = Array.from({ length: LockQueue.capacity }, (_, index) =>
      LockQueue.holderId("x", "c0c0c0c0c0c0", index)
    )
    const queue = { [LockQueue.queueKey(key)]: names.join(" ") }
    assert.deepInclude(decide({ ...heldBy(you), ...queue }, exactly(at), me), {
      position: undefined,
      canJoin: false,
      isFull: true
    })
  })

  it("claims a lock that was handed to it, and relies on it as if the server's clock were at its latest", () => {
    assert.deepStrictEqual(decide(heldBy(me.holderId), { earliest: at - 3000, latest: at - 2000 }, me), {
      _tag: "Claim",
      lease: { holderId: me.holderId, expiry },
      validFor: 2000
    })
  })

  it("writes its own lock anew if little is left of it, or if it will not be renewed", () => {
    const over = { holderId: me.holderId, expiry }
    const rewritten = { _tag: "Rewrite", over } as const
    assert.deepInclude(decide(heldBy(me.holderId), exactly(at - 999), me), rewritten)
    assert.deepInclude(decide(heldBy(me.holderId), exactly(at - 3000), { ...me, renews: false }), rewritten)
    assert.deepInclude(decide(heldBy(me.holderId), exactly(at + 1), me), { _tag: "Acquire", tookOverFrom: undefined })
  })

  it("removes itself from the queue, and all other waiters if it takes over: they may be gone", () => {
    const queue = { [LockQueue.queueKey(key)]: `${third} ${me.holderId} ${fourth.holderId}` }
    const rest = (annotations: Record<string, string>) => {
      const decision = decide({ ...annotations, ...queue }, exactly(at + 1), me)
      return decision._tag === "Acquire" ? decision.patch[LockQueue.queueKey(key)] : decision
    }
    assert.strictEqual(rest({}), `${third} ${fourth.holderId}`)
    assert.isNull(rest(heldBy(you)))
  })

  it("leaves a free lock to Dex for a moment, once, if it is in the queue", () => {
    const queue = { [LockQueue.queueKey(key)]: `${third} ${me.holderId}` }
    const wait = {
      _tag: "Wait",
      seen: {},
      until: at + LockProtocol.yieldFor,
      position: 1,
      canJoin: false,
      isFull: false
    } as const
    assert.deepStrictEqual(decide(queue, exactly(at), { ...me, yields: true }), wait)
    assert.deepInclude(decide(queue, exactly(at), me), { _tag: "Acquire" })
    assert.deepInclude(decide({}, exactly(at), { ...me, yields: true }), { _tag: "Acquire" })
  })

  it("leaves a malformed lock alone", () => {
    assert.deepStrictEqual(decide({ [key]: "soon" }, exactly(at), me), { _tag: "Malformed", key, value: "soon" })
  })
})

describe("LockProtocol.recheckDelay", () => {
  const wait = { seen: { expiry }, until: at, position: 2, canJoin: false, isFull: false }

  it("lasts until the lock has expired by the earliest time of the server's clock, and longer for each position", () => {
    for (const watchesObject of [false, true]) {
      assert.strictEqual(LockProtocol.recheckDelay(wait, { earliest: at - 500, latest: at }, watchesObject), 546)
      assert.strictEqual(
        LockProtocol.recheckDelay({ ...wait, position: undefined }, exactly(at - 500), watchesObject),
        501
      )
      assert.strictEqual(LockProtocol.recheckDelay({ ...wait, position: 0 }, exactly(at + 9), watchesObject), 1)
    }
  })

  it("is a second, and longer for each position, for a waiter that hears only of its own turn", () => {
    assert.strictEqual(LockProtocol.recheckDelay(wait, exactly(at - 60_000), false), 1200)
    assert.strictEqual(LockProtocol.recheckDelay(wait, exactly(at - 60_000), true), 60_046)
    assert.strictEqual(LockProtocol.recheckDelay({ ...wait, position: 100 }, exactly(at - 60_000), false), 3000)
    assert.strictEqual(LockProtocol.recheckDelay({ ...wait, position: 100 }, exactly(at - 500), false), 918)
  })

  it("lasts until the lock may have expired, but no less than a second, if the server's clock is known badly", () => {
    const delay = (earliest: number, latest: number) =>
      LockProtocol.recheckDelay({ ...wait, position: 0 }, { earliest: at - earliest, latest: at - latest }, true)
    assert.strictEqual(delay(60_000, 20_000), 20_000)
    assert.strictEqual(delay(60_000, -5000), 1000)
    assert.strictEqual(delay(60_000, 57_000), 60_001)
  })
})

describe("LockProtocol.planRelease", () => {
  const lease = { holderId: me.holderId, expiry }
  const request = { kind, holderId: me.holderId, requeue: undefined, sharedWithDex: false }
  const claimed = (holder: string, millis = at) =>
    LockRecord.toAnnotations(
      key,
      LockProtocol.nextLease(exactly(millis), { holderId: holder, ttl: LockProtocol.handOverTtl })
    )
  const label = LockQueue.labelKey(key)
  const object = (annotations: Record<string, string>, labels: Record<string, string> = {}) => ({
    annotations: { ...heldBy(me.holderId), ...annotations },
    labels
  })

  it("removes the lock if nobody waits, and requires only the lease", () => {
    assert.deepStrictEqual(LockProtocol.planRelease(object({}), lease, exactly(at), request), {
      write: { expect: { annotations: heldBy(me.holderId) }, annotations: LockRecord.removal(key) },
      plan: {
        patch: { annotations: LockRecord.removal(key) },
        wakes: false,
        requeued: false,
        chainStartedAt: undefined
      }
    })
  })

  it("hands over to the first waiter, and names its process in the label", () => {
    const queue = { [LockQueue.queueKey(key)]: `${you} ${third}` }
    const join = { [LockQueue.joinKey(key, fourth.holderId)]: `${fourth.holderId}@7` }
    const { plan, write } = LockProtocol.planRelease(object({ ...queue, ...join }), lease, exactly(at), request)
    assert.deepStrictEqual(write, {
      expect: { annotations: { ...heldBy(me.holderId), ...queue, ...join }, hasLabels: false },
      annotations: {
        ...claimed(you),
        [LockQueue.queueKey(key)]: `${third} ${fourth.holderId}`,
        [LockQueue.joinKey(key, fourth.holderId)]: null
      },
      labels: { [label]: LockQueue.processIdOf(you) }
    })
    assert.deepInclude(plan, { wakes: true, requeued: false })
  })

  it("gives the next waiter of its own process the last position, and never the lock at once", () => {
    const again = { ...request, requeue: third }
    const one = LockProtocol.planRelease(object({ [LockQueue.queueKey(key)]: you }), lease, exactly(at), again)
    assert.deepInclude(one.write.annotations, { ...claimed(you), [LockQueue.queueKey(key)]: third })
    assert.isTrue(one.plan.requeued)
    const none = LockProtocol.planRelease(object({}), lease, exactly(at), again)
    assert.isFalse(none.plan.requeued)
  })

  it("removes the label of the last hand-over with the lock", () => {
    const labelled = object({}, { [label]: "0123456789ab", app: "x" })
    assert.deepInclude(LockProtocol.planRelease(labelled, lease, exactly(at), request).write, {
      expect: { annotations: heldBy(me.holderId), hasLabels: true },
      labels: { [label]: null }
    })
  })

  it("removes a queue that cannot be parsed, on condition that it has not changed", () => {
    const garbage = { [LockQueue.queueKey(key)]: "?? !!", [`${LockQueue.queueKey(key)}-x`]: "y" }
    assert.deepInclude(LockProtocol.planRelease(object(garbage), lease, exactly(at), request).write, {
      expect: { annotations: { ...heldBy(me.holderId), ...garbage } },
      annotations: {
        ...LockRecord.removal(key),
        [LockQueue.queueKey(key)]: null,
        [`${LockQueue.queueKey(key)}-x`]: null
      }
    })
  })

  it("leaves the lock free for Dex once the hand-over chain has lasted long enough", () => {
    const beside = { ...request, sharedWithDex: true }
    const queued = (since: string) => object({ [LockQueue.queueKey(key)]: `${since}${you}` })
    const patch = (since: string, now: number) =>
      LockProtocol.planRelease(queued(since), lease, exactly(now), beside).write.annotations
    assert.deepInclude(patch("", at), claimed(you))
    assert.deepInclude(patch(`since=${at} `, at + 250), claimed(you, at + 250))
    assert.deepStrictEqual(patch(`since=${at} `, at + 251), {
      ...LockRecord.removal(key),
      [LockQueue.queueKey(key)]: you
    })
  })

  it("ends the hand-over chain sooner after a Dex came and wiped the queue, the sooner the fewer wait", () => {
    const beside = { ...request, sharedWithDex: true }
    const join = (holderId: string) => ({ [LockQueue.joinKey(key, holderId)]: `${holderId}@7` })
    const chainStart = (waiting: Record<string, string>, requeue?: string) =>
      LockProtocol.planRelease(object(waiting), lease, exactly(at), { ...beside, requeue }).write.annotations[
        LockQueue.queueKey(key)
      ]
    assert.strictEqual(chainStart({ ...join(you), ...join(third) }), `since=${at - 190} ${third}`)
    assert.strictEqual(chainStart(join(you), third), `since=${at - 190} ${third}`)
    const many = Array.from({ length: 9 }, (_, index) => LockQueue.holderId("pod", `process${10000 + index}`, 1))
    assert.isTrue(chainStart(Object.assign({}, ...many.map(join)))?.startsWith(`since=${at} `))
    const both = object({ [LockQueue.queueKey(key)]: `${you} ${third}` })
    assert.deepInclude(LockProtocol.planRelease(both, lease, exactly(at), beside).write.annotations, {
      [LockQueue.queueKey(key)]: `since=${at} ${third}`
    })
  })
})

describe("LockProtocol.nextLease", () => {
  const Millis = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4_000_000_000_000 }))
  const Ttl = Schema.Int.check(Schema.isBetween({ minimum: 1000, maximum: 86_400_000 }))

  it.prop("never ends while its holder relies on it", [Millis, Millis, Ttl], ([a, b, ttl]) => {
    const now = { earliest: Math.min(a, b), latest: Math.max(a, b) }
    const lease = LockProtocol.nextLease(now, { holderId: "me", ttl })
    const validFor = LockProtocol.validFor(now, ttl)
    const written = record(LockRecord.toAnnotations(key, lease))
    assert.strictEqual(LockProtocol.lockState(written, exactly(now.latest + validFor))._tag, "Held")
    assert.strictEqual(LockProtocol.lockState(written, exactly(now.latest + validFor + 1000))._tag, "Expired")
  })

  it.prop("never ends later than the TTL and its margin", [Millis, Millis, Ttl], ([a, b, ttl]) => {
    const now = { earliest: Math.min(a, b), latest: Math.max(a, b) }
    const written = record(LockRecord.toAnnotations(key, LockProtocol.nextLease(now, { holderId: "me", ttl })))
    const last = now.earliest + ttl + LockProtocol.expiryMargin(ttl) + 1000
    assert.strictEqual(LockProtocol.lockState(written, exactly(last))._tag, "Expired")
  })

  it.prop("lasts for the TTL if the clock is usable", [Millis, Ttl, Ttl], ([earliest, off, ttl]) => {
    const now = { earliest, latest: earliest + off }
    assert.strictEqual(LockProtocol.validFor(now, ttl) === ttl, LockProtocol.isClockUsable(now, ttl))
  })
})

describe("LockProtocol.verifyLease", () => {
  const cases: ReadonlyArray<readonly [string, LockRecord.LockRecord, LockProtocol.LeaseCheck]> = [
    ["our lease stands", lockOf("me"), { _tag: "Ours", lease: { holderId: "me", expiry }, expiry, expiresAt: at }],
    ["another's lease stands", lockOf("you"), { _tag: "TakenOver", expiry, holder: "you" }],
    ["Dex's lease stands", dexLock, { _tag: "TakenOver", expiry }],
    ["no lease stands", record({}), { _tag: "Removed" }],
    ["the annotation is malformed", record({ [key]: "soon" }), { _tag: "TakenOver", expiry: "soon" }]
  ]
  it.each(cases)("%s", (_, record, expected) => {
    assert.deepStrictEqual(LockProtocol.verifyLease(record, "me"), expected)
  })
})

describe("two keys on one object", () => {
  const dexKey = LockPolicy.dexAnnotation
  const neutralKey = LockPolicy.neutralAnnotation
  const neutral = LockKind.exclusive(neutralKey)
  const onDex = LockKind.exclusive(dexKey)
  const decideAs = (kind: LockKind.LockKind, annotations: Record<string, string>, now = exactly(at)) =>
    LockProtocol.decide(kind.decode(annotations), LockProtocol.queueOf(kind, annotations), now, { ...me, kind })
  const heldUnder = (kind: LockKind.LockKind, holderId: string) => kind.encode({ holderId, expiry })

  it("a lease under the other key is another's: its waiters queue behind it, unless it is Dex's", () => {
    const wait = { _tag: "Wait", until: at, position: undefined, isFull: false } as const
    assert.deepStrictEqual(decideAs(neutral, heldUnder(onDex, you)), {
      ...wait,
      seen: { expiry, holder: you, key: dexKey },
      canJoin: true
    })
    assert.deepStrictEqual(decideAs(neutral, { [dexKey]: expiry }), {
      ...wait,
      seen: { expiry, key: dexKey },
      canJoin: false
    })
  })

  it("a lease under the other key is another's also if it has the name of this contender", () => {
    const found = heldUnder(onDex, me.holderId)
    assert.strictEqual(decideAs(neutral, found)._tag, "Wait")
    assert.strictEqual(LockProtocol.verifyLease(neutral.decode(found), me.holderId)._tag, "TakenOver")
  })

  it("a lock that was handed over is not claimed beside a lease under the other key", () => {
    const both = { ...heldUnder(neutral, me.holderId), [dexKey]: expiry }
    assert.strictEqual(decideAs(neutral, heldUnder(neutral, me.holderId), exactly(at - 3000))._tag, "Claim")
    assert.strictEqual(decideAs(neutral, both, exactly(at - 3000))._tag, "Wait")
  })

  it("a contender that takes over removes the lease under the other key, and the waiters under both", () => {
    const queues = { [LockQueue.queueKey(dexKey)]: third, [LockQueue.queueKey(neutralKey)]: you }
    const decision = decideAs(neutral, { ...heldUnder(onDex, you), ...queues }, exactly(at + 1))
    assert.deepInclude(decision, { _tag: "Acquire", tookOverFrom: { expiry, holder: you, key: dexKey } })
    assert.deepInclude(decision._tag === "Acquire" ? decision.patch : {}, {
      ...onDex.removal(you),
      [LockQueue.queueKey(dexKey)]: null,
      [LockQueue.queueKey(neutralKey)]: null
    })
  })

  it("a release hands over to a waiter under the other key: its lease, its label, and none of the old", () => {
    const lease = { holderId: me.holderId, expiry }
    const queue = { [LockQueue.queueKey(neutralKey)]: you, [LockQueue.queueKey(dexKey)]: third }
    const seen = { annotations: { ...onDex.encode(lease), ...queue }, labels: { [LockQueue.labelKey(dexKey)]: "a" } }
    const request = { kind: onDex, holderId: me.holderId, requeue: undefined, sharedWithDex: false }
    const next = LockProtocol.nextLease(exactly(at), { holderId: you, ttl: LockProtocol.handOverTtl })
    assert.deepStrictEqual(LockProtocol.planRelease(seen, lease, exactly(at), request).write, {
      expect: { annotations: { ...onDex.encode(lease), ...queue }, hasLabels: true },
      annotations: {
        ...onDex.removal(me.holderId),
        ...neutral.encode(next),
        [LockQueue.queueKey(neutralKey)]: null,
        [LockQueue.queueKey(dexKey)]: third
      },
      labels: { [LockQueue.labelKey(dexKey)]: null, [LockQueue.labelKey(neutralKey)]: LockQueue.processIdOf(you) }
    })
  })

  it("nothing is different on an object that has but Dex's key", () => {
    const alone: LockKind.LockKind = {
      ...onDex,
      otherKeys: [],
      decode: (annotations) => LockRecord.fromAnnotations(dexKey, annotations)
    }
    const lease = { holderId: me.holderId, expiry }
    const join = LockQueue.joinPatch(dexKey, third, "7") as Record<string, string>
    const locks = [{}, { [dexKey]: expiry }, { [dexKey]: "soon" }, onDex.encode(lease), heldUnder(onDex, you)]
    const queues = [{}, { [LockQueue.queueKey(dexKey)]: `since=${at - 300} ${you}` }, join]
    const labels = { [LockQueue.labelKey(dexKey)]: "a" }
    for (const lock of locks) {
      for (const queue of queues) {
        const annotations = { ...lock, ...queue }
        for (const time of [at - 3000, at + 1]) {
          assert.deepStrictEqual(
            decideAs(onDex, annotations, exactly(time)),
            decideAs(alone, annotations, exactly(time))
          )
        }
        const write = (kind: LockKind.LockKind) => {
          const request = { kind, holderId: me.holderId, requeue: fourth.holderId, sharedWithDex: true }
          return JSON.stringify(LockProtocol.planRelease({ annotations, labels }, lease, exactly(at), request))
        }
        assert.strictEqual(write(onDex), write(alone))
      }
    }
  })
})
