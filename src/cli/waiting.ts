/** How long a verb waits for a lock. */
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { KubernetesClient } from "../KubernetesClient.ts"
import type * as LockError from "../LockError.ts"
import * as LockPolicy from "../LockPolicy.ts"
import { Ended, exitCodes } from "./exitCodes.ts"
import { duration, toggle, whole } from "./flags.ts"

/** The flags. */
export const flags = {
  nonblock: toggle("nonblock", "Do not wait if the lock is held"),
  timeout: duration("timeout", "How long to wait for the lock, as 30s or 30 (default: without end)").pipe(
    Flag.withAlias("w"),
    Flag.optional
  ),
  conflictExitCode: whole(
    "conflict-exit-code",
    [0, 255],
    `The exit code if the lock was not had in time (default ${exitCodes.notHad})`
  ).pipe(Flag.withAlias("E"), Flag.withDefault<number>(exitCodes.notHad))
}

/** What was asked for. */
export interface Given {
  readonly nonblock: boolean
  readonly timeout: Option.Option<Duration.Duration>
  readonly conflictExitCode: number
}

/** What is wrong with these flags; `undefined` if nothing is. */
export const problemOf = ({ nonblock, timeout }: Given): string | undefined =>
  nonblock && Option.isSome(timeout) ? "give --nonblock or --timeout, not both" : undefined

/** The schedule of the wait. */
export const scheduleOf = ({ nonblock, timeout }: Given): LockPolicy.WaitSchedule => {
  if (nonblock) return Schedule.recurs(0)
  if (Option.isNone(timeout)) return Schedule.spaced(pollEvery)
  const polls = Math.max(1, Math.ceil(Duration.toSeconds(timeout.value)))
  return LockPolicy.fixedPolls(Duration.divideUnsafe(timeout.value, polls), polls)
}

/** How often a program looks that may not watch the object. Our choice. */
const pollEvery = "5 seconds"

/**
 * Ends a wait whose time is over, if the wait does not end by itself: a request that gets no answer would outlast it. What the wait
 * wrote is withdrawn, as in any wait that is interrupted.
 */
export const overdue = ({
  name,
  timeout
}: Pick<Given, "timeout"> & { readonly name: string }): Effect.Effect<never, Ended, KubernetesClient> =>
  Option.match(timeout, {
    onNone: () => Effect.never,
    onSome: (timeout) =>
      Effect.gen(function* () {
        const { server } = yield* KubernetesClient
        yield* Effect.sleep(Duration.sum(timeout, lateAnswer))
        return yield* new Ended({
          code: exitCodes.api,
          message: `Gave up waiting for ${name} after ${Duration.format(timeout)}: the API server ${server} does not answer.`
        })
      })
  })

/** How late an answer may be that was under way when the time was over. Our choice. */
const lateAnswer = Duration.millis(500)

/** How a verb ends if the lock was not had, by the tag of the error. */
export const endings = ({ conflictExitCode }: Given) => ({
  LockConflict: ({ message }: LockError.Conflict) => Effect.fail(new Ended({ code: conflictExitCode, message })),
  LockTimeout: ({ message }: LockError.Timeout) => Effect.fail(new Ended({ code: conflictExitCode, message })),
  LockNotFound: (error: LockError.NotFound) =>
    Effect.fail(error.missing === "object" ? new Ended({ code: exitCodes.api, message: missing(error) }) : error)
})

// The message of the error names an option of the library.
const missing = ({ object }: LockError.NotFound): string =>
  `Cannot find ${object}. Create it first: kubelock itself creates only ConfigMaps and Leases.`
