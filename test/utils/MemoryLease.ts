/** One Lease in memory, for electors as client-go has them. A request takes two milliseconds each way. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type Lease, type LeaseApi, LeaseError, type LeaseSpec } from "../../src/testing/clientGo/LeaderElector.ts"

/** A request as it came in. `at`: milliseconds on the true clock. */
export interface LeaseRequest {
  readonly by: string
  readonly what: "GET" | "POST" | "PUT"
  readonly status: 200 | 201 | 404 | 409
  readonly at: number
}

/** The Lease, and what a test can do to it. */
export interface MemoryLease {
  /** All requests so far, in order. */
  readonly requests: ReadonlyArray<LeaseRequest>
  /** The Lease, or `undefined` if it does not exist. */
  readonly lease: () => Lease | undefined
  /** Writes as a stranger would: replaces what is given. Makes the Lease if it does not exist. */
  readonly write: (change: Partial<Omit<Lease, "resourceVersion">>) => void
  readonly remove: () => void
  /** Whether requests are lost. */
  hangs: boolean
  /** The requests of an elector. */
  readonly api: (by: string) => LeaseApi
}

/** Makes a Lease that does not exist yet, or exists with this spec. */
export const make = (spec?: LeaseSpec): Effect.Effect<MemoryLease> =>
  Clock.clockWith((clock) =>
    Effect.sync(() => {
      let version = 1
      let stored: Lease | undefined =
        spec === undefined ? undefined : { resourceVersion: "1", annotations: {}, labels: {}, spec }
      const requests: Array<LeaseRequest> = []

      const write = (change: Partial<Omit<Lease, "resourceVersion">>): Lease => {
        version++
        stored = {
          ...(stored ?? { annotations: {}, labels: {}, spec: {} }),
          ...change,
          resourceVersion: String(version)
        }
        return stored
      }

      const memory: MemoryLease = {
        requests,
        lease: () => stored,
        write: (change) => void write(change),
        remove: () => {
          stored = undefined
        },
        hangs: false,
        api: (by) => {
          const request = <A>(
            what: LeaseRequest["what"],
            handle: () => readonly [LeaseRequest["status"], A | undefined]
          ): Effect.Effect<A, LeaseError> =>
            Effect.gen(function* () {
              yield* clock.sleep(trip)
              if (memory.hangs) return yield* Effect.never
              const [status, answer] = handle()
              requests.push({ by, what, status, at: clock.currentTimeMillisUnsafe() })
              yield* clock.sleep(trip)
              return answer === undefined ? yield* new LeaseError({ detail: String(status) }) : answer
            })
          return {
            get: request("GET", () => [stored === undefined ? 404 : 200, Option.fromUndefinedOr(stored)]),
            create: (spec) => request("POST", () => (stored === undefined ? [201, write({ spec })] : [409, undefined])),
            update: ({ resourceVersion, ...lease }) =>
              request("PUT", () =>
                resourceVersion === stored?.resourceVersion ? [200, write(lease)] : [409, undefined]
              )
          }
        }
      }
      return memory
    })
  )

const trip = Duration.millis(2)
