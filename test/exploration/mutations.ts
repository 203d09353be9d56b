/** Protocols that are wrong in one point, and worlds in which it shows: so that the exploration is known to bite. */
import type * as LockProtocol from "../../src/LockProtocol.ts"
import * as LockRecord from "../../src/LockRecord.ts"
import type { ServerTime } from "../../src/ObjectStore.ts"
import type { Rules } from "./contender.ts"
import { type Behaviour, kubelock } from "./behaviour.ts"
import type { Setting } from "./search.ts"
import { holderName } from "./wire.ts"
import type { Cast } from "./world.ts"

export interface Mutation extends Setting {
  /** What the exploration must find, and after how many actions. */
  readonly breaks: string
  readonly depth: number
}

type Place = Cast & Partial<Pick<Rules, "dexAhead" | "commits">>

const twoAtOnce = "two contenders hold the lock at once"

const two: Place = { actors: ["kubelock", "kubelock"] }

const mutation = (
  title: string,
  place: Place,
  change: Partial<Behaviour>,
  breaks: string,
  depth: number
): Mutation => ({
  title,
  dexAhead: 0,
  commits: false,
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
const shortLease = (now: ServerTime, { holder, ttl }: LockProtocol.Contender) => ({
  holder,
  expiry: LockRecord.expiryAt(now.latest + ttl)
})

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
    expects({ release: "nothing" }),
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
      decide: (record, now, contender) =>
        kubelock.decide({ ...record, holder: undefined } as typeof record, now, contender)
    },
    "a contender waits out a lock of its own",
    6
  ),
  mutation("counts validity from the answer to the write", two, { countsFrom: "answer" }, twoAtOnce, 11),
  mutation(
    "judges an expiry by the latest that it can be",
    two,
    {
      decide: (record, now, contender) => kubelock.decide(record, { ...now, earliest: now.latest }, contender)
    },
    "a lock was taken that had not expired",
    7
  ),
  mutation(
    "writes an expiry by the earliest that it can be",
    two,
    {
      decide: (record, now, contender) => kubelock.decide(record, { ...now, latest: now.earliest }, contender),
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
      decide: (record, now, contender) =>
        kubelock.decide(record._tag === "Malformed" ? { _tag: "Absent" } : record, now, contender)
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
    { holder: () => holderName(0) },
    "a contender is done and has left its lock behind",
    6
  ),
  mutation(
    "shortens a lease of its own that it finds when it acquires",
    { actors: ["kubelock"] },
    {
      decide: (record, now, contender) => {
        const decision = kubelock.decide(record, now, contender)
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
    14
  )
]
