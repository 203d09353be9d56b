/** The leader, by what the Lease says. Pure. */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import type { ObjectSnapshot } from "../../ObjectStore.ts"
import * as rfc3339 from "../time/rfc3339.ts"
import * as leaseSpec from "./leaseSpec.ts"

/** See `Leader` in `LeaderElection`. */
interface Leader {
  readonly identity: string
  readonly since: Option.Option<DateTime.Utc>
  readonly transitions: number
}

/** The leader that the Lease names. */
export const of = ({ content }: ObjectSnapshot): Option.Option<Leader> => {
  const spec = leaseSpec.fromContent(content)
  const since = spec.acquireTime === undefined ? undefined : rfc3339.parse(spec.acquireTime)
  return Option.map(Option.fromUndefinedOr(leaseSpec.holderOf(spec)), (identity) => ({
    identity,
    since: Option.map(Option.fromUndefinedOr(since), ({ nanos, seconds }) =>
      DateTime.makeUnsafe(seconds * 1000 + Math.floor(nanos / 1e6))
    ),
    transitions: spec.leaseTransitions ?? 0
  }))
}

/** Whether that is one and the same term. */
export const isSame = (a: Option.Option<Leader>, b: Option.Option<Leader>): boolean =>
  Option.isNone(a) || Option.isNone(b)
    ? Option.isNone(a) && Option.isNone(b)
    : a.value.identity === b.value.identity && a.value.transitions === b.value.transitions
