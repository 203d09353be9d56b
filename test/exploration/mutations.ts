/** Protocols that are wrong in one point, and worlds in which it shows: so that the exploration is known to bite. */
import * as LockProtocol from "../../src/LockProtocol.ts"
import * as LockQueue from "../../src/LockQueue.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import type { ServerTime } from "../../src/ObjectStore.ts"
import {
  acquires,
  claims,
  handsOver,
  isAwaited,
  isAwaitedByTwo,
  isLeftFree,
  leaves,
  queues,
  renews,
  timePasses
} from "./beginnings.ts"
import { type Behaviour, kubelock } from "./behaviour.ts"
import type { Setting } from "./search.ts"
import * as wire from "./wire.ts"
import type { Cast } from "./world.ts"

export interface Mutation extends Setting {
  /** What the exploration must find, and after how many actions. */
  readonly breaks: string
  readonly depth: number
}

type Place = Cast & Partial<Pick<Setting, "dexAhead" | "sharedWithDex" | "commits" | "renews" | "before" | "calmTo">>

const twoAtOnce = "two contenders hold the lock at once"

const two: Place = { actors: ["kubelock", "kubelock"] }

const three: Place = { actors: ["kubelock", "kubelock", "kubelock"] }

const four: Place = { actors: ["kubelock", "kubelock", "kubelock", "kubelock"] }

const five: Place = { actors: ["kubelock", "kubelock", "kubelock", "kubelock", "kubelock"] }

const mutation = (
  title: string,
  place: Place,
  change: Partial<Behaviour>,
  breaks: string,
  depth: number
): Mutation => ({
  title,
  dexAhead: 0,
  sharedWithDex: false,
  commits: false,
  renews: true,
  foresight: breaks !== twoAtOnce,
  ...place,
  behaviour: { ...kubelock, ...change },
  breaks,
  depth
})

const expects = (change: Partial<Behaviour["expects"]>): Partial<Behaviour> => ({
  expects: { ...kubelock.expects, ...change }
})

// The lease that a clock known more exactly by now would have: earlier, maybe, than the one that stands.
const shortLease = (now: ServerTime, { holderId, ttl }: Pick<LockProtocol.Contender, "holderId" | "ttl">) => ({
  holderId,
  expiry: LockRecord.expiryAt(now.latest + ttl)
})

const isLease = (key: string): boolean => key === wire.key || key === LockRecord.holderKey(wire.key)

// A release that is conditional only on some of the annotations.
const relinquishing =
  (isExpected: (key: string) => boolean): typeof LockProtocol.planRelease =>
  (seen, lease, now, leaving) => {
    const { succession, write } = kubelock.relinquish(seen, lease, now, leaving)
    const annotations = Object.fromEntries(
      Object.entries("annotations" in write.expect ? write.expect.annotations : {}).filter(([key]) => isExpected(key))
    )
    return { succession, write: { ...write, expect: { ...write.expect, annotations } } }
  }

// Waits for an expired lock as long as another stands first in the queue.
const deferring: typeof LockProtocol.decide = (record, queue, now, contender) => {
  const first = queue.waiters[0]
  const isOthers = first !== undefined && first !== contender.holderId
  const isExpired = LockProtocol.lockState(record, now)._tag === "Expired"
  return kubelock.decide(record, queue, isOthers && isExpired ? { ...now, earliest: 0 } : now, contender)
}

export const mutations: ReadonlyArray<Mutation> = [
  mutation(
    "acquires without compare-and-swap",
    two,
    expects({ acquire: "nothing" }),
    "a lock was taken that had not expired",
    6
  ),
  mutation(
    "renews whatever lease stands",
    two,
    expects({ renew: "nothing" }),
    "a contender is done and has left its lock behind",
    9
  ),
  mutation(
    "releases whatever lease stands",
    { actors: ["kubelock", "dex"] },
    { relinquish: relinquishing((key) => !isLease(key)) },
    "a contender removed a lock that is not its own",
    12
  ),
  mutation(
    "breaks without compare-and-swap",
    { actors: ["kubelock", "dex", "operator"] },
    expects({ break: "nothing" }),
    "an operator's break removed another lock than the one it saw",
    12
  ),
  mutation(
    "does not follow up a write without an answer",
    two,
    { followsUp: false },
    "a contender is done and has left its lock behind",
    4
  ),
  mutation(
    "does not know its own lock when it sees it",
    two,
    {
      decide: (record, queue, now, contender) =>
        kubelock.decide({ ...record, holder: undefined } as typeof record, queue, now, contender)
    },
    "a contender waits out a lock of its own",
    6
  ),
  mutation("counts validity from the answer to the write", two, { countsFrom: "answer" }, twoAtOnce, 11),
  mutation(
    "judges an expiry by the latest that it can be",
    two,
    {
      decide: (record, queue, now, contender) =>
        kubelock.decide(record, queue, { ...now, earliest: now.latest }, contender)
    },
    "a lock was taken that had not expired",
    7
  ),
  mutation(
    "writes an expiry by the earliest that it can be",
    two,
    {
      decide: (record, queue, now, contender) =>
        kubelock.decide(record, queue, { ...now, latest: now.earliest }, contender),
      renewal: (now, contender, standing) => kubelock.renewal({ ...now, latest: now.earliest }, contender, standing)
    },
    twoAtOnce,
    9
  ),
  mutation(
    "takes a refused renewal for a success",
    { actors: ["kubelock", "operator"] },
    { heedsRefusal: false },
    "a lock was relied on anew after it had been taken away",
    11
  ),
  mutation(
    "takes any lock found after a refused renewal for its own",
    { actors: ["kubelock", "dex"], dexAhead: 3 },
    {
      fate: (record, holder) =>
        record._tag === "Present" ? { _tag: "Ours", expiry: record.expiry } : kubelock.fate(record, holder)
    },
    "a renewal after the loss did not notice it",
    11
  ),
  mutation(
    "relies on a lock that a commit under way may have given up",
    { ...two, commits: true },
    { reliesOnCommitted: true },
    twoAtOnce,
    10
  ),
  mutation(
    "replaces all annotations, as Dex does",
    two,
    { writesWhole: true },
    "a stranger's annotation did not survive a write",
    3
  ),
  mutation(
    "takes a malformed lock for a free one",
    { ...two, scribbles: 1 },
    {
      decide: (record, queue, now, contender) =>
        kubelock.decide(record._tag === "Malformed" ? { _tag: "Absent" } : record, queue, now, contender)
    },
    "a malformed value was not left alone",
    4
  ),
  mutation(
    "hands out the generation as the fencing token",
    two,
    { token: "generation" },
    "a fencing token is no greater than that of an acquisition before it",
    9
  ),
  mutation(
    "names the process as the holder, not the acquisition",
    two,
    { holder: () => wire.holderName(0) },
    "a fencing token is no greater than that of an acquisition before it",
    5
  ),
  mutation(
    "shortens a lease of its own that it finds when it acquires",
    { actors: ["kubelock"], renews: false },
    {
      decide: (record, queue, now, contender) => {
        const decision = kubelock.decide(record, queue, now, contender)
        return decision._tag === "Acquire" ? { ...decision, lease: shortLease(now, contender) } : decision
      }
    },
    "a holder relies on its lock for longer than it stands",
    14
  ),
  mutation(
    "shortens its lease when it renews",
    { actors: ["kubelock"] },
    { renewal: shortLease },
    "a holder relies on its lock for longer than it stands",
    8
  ),
  mutation(
    "relies on a lock that was handed over for a full TTL",
    { ...two, before: [...isAwaited, ...handsOver(0)] },
    {
      decide: (record, queue, now, contender) => {
        const decision = kubelock.decide(record, queue, now, contender)
        return decision._tag === "Claim" ? { ...decision, validFor: contender.ttl } : decision
      }
    },
    "a holder relies on its lock for longer than it stands",
    4
  ),
  mutation(
    "relies on a lock that was handed over by the earliest that it can be",
    { ...two, before: [...isAwaited, ...handsOver(0)] },
    {
      decide: (record, queue, now, contender) => {
        const decision = kubelock.decide(record, queue, now, contender)
        return decision._tag === "Claim"
          ? { ...decision, validFor: decision.validFor + now.latest - now.earliest }
          : decision
      }
    },
    "a holder relies on its lock for longer than it stands",
    2
  ),
  mutation(
    "hands over whatever lease stands",
    {
      ...four,
      before: [
        ...isAwaitedByTwo,
        ...handsOver(0),
        ...claims(1),
        ...timePasses,
        ...timePasses,
        ...timePasses,
        ...timePasses
      ]
    },
    { relinquish: relinquishing((key) => !isLease(key)) },
    "a contender removed a lock that is not its own",
    5
  ),
  mutation(
    "hands over whatever the queue is by then",
    { ...two, before: isAwaited },
    { relinquish: relinquishing(isLease) },
    "a contender is done and has left its lock behind",
    6
  ),
  mutation(
    "forgets those behind the one that it hands over to",
    { ...three, before: isAwaitedByTwo },
    {
      relinquish: (seen, lease, now, leaving) => {
        const { succession, write } = kubelock.relinquish(seen, lease, now, leaving)
        const annotations = { ...write.annotations, [LockQueue.queueKey(wire.key)]: null }
        return { succession, write: { ...write, annotations } }
      }
    },
    "a waiter lost its place in the queue",
    2
  ),
  mutation(
    "serves those who came last first",
    { ...four, before: [...acquires(0), ...queues(1), ...queues(2), ...queues(3), ...renews(0)] },
    {
      relinquish: (seen, lease, now, leaving) => {
        const { succession, write } = kubelock.relinquish(seen, lease, now, leaving)
        const key = LockQueue.queueKey(wire.key)
        const line = write.annotations[key]?.split(" ").toReversed().join(" ") ?? null
        return { succession, write: { ...write, annotations: { ...write.annotations, [key]: line } } }
      }
    },
    "those who wait changed places",
    2
  ),
  mutation(
    "joins the queue whoever holds the lock",
    { actors: ["kubelock", "kubelock", "dex"], sharedWithDex: true, before: acquires(0) },
    { join: (key, holder) => ({ ...kubelock.join(key, holder), expect: { annotations: {} } }) },
    "a contender wrote to an object that Dex has locked",
    8
  ),
  mutation(
    "gives up without leaving the queue",
    { ...two, before: isAwaited },
    { leaves: false },
    "a contender is done and has left its place in the queue behind",
    1
  ),
  mutation(
    "breaks the lock of one who does not claim it without compare-and-swap",
    { ...three, before: [...isAwaitedByTwo, ...handsOver(0)] },
    expects({ acquire: "nothing" }),
    "a contender stands in the queue that had left it",
    7
  ),
  mutation(
    "hands on a lock that was free without compare-and-swap",
    { ...three, before: [...acquires(0), ...queues(1)] },
    expects({ grant: "nothing" }),
    "a lock was handed over that was not free",
    7
  ),
  mutation(
    "hands on a lock that was free before it left the queue",
    {
      ...five,
      sharedWithDex: true,
      before: [...isLeftFree(2), ...leaves(2), ["reads", 3], ["sends an acquiring write", 3]]
    },
    { judgesAnswer: false },
    "a lock was handed over that was not free",
    7
  ),
  mutation(
    "leaves an expired lock to those before it in the queue",
    { ...three, before: isAwaitedByTwo, calmTo: 4 },
    { decide: deferring },
    "somebody waits for ever",
    2
  ),
  mutation(
    "leaves an expired lock to whomever a vandal puts before it",
    { ...two, vandals: 1, before: isAwaited, calmTo: 4 },
    { decide: deferring },
    "somebody waits for ever",
    2
  )
]
