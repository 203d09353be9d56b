/**
 * Whether sessions were fenced before their shards were taken, by the word of the objects.
 *
 * A session that has expired releases nothing. So if shards of one that has expired are not its own any more, they were taken, and then its
 * Lease must not name it.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { House } from "./houses.ts"

/** The Lease of a session, as far as it matters. */
export interface Lease {
  readonly metadata?: { readonly uid?: string }
  readonly spec?: {
    readonly holderIdentity?: string
    readonly leaseDurationSeconds?: number
    readonly renewTime?: string
  }
}

/** The sessions with shards: the data of the ConfigMap, by the name of the Lease. */
export type Sessions = Readonly<Record<string, string>>

/** The names of the Leases whose sessions have no shards any more. */
export const gone = (before: Sessions, after: Sessions): ReadonlyArray<string> =>
  Object.keys(before).filter((name) => sessionOf(before[name]!) !== sessionOf(after[name] ?? ""))

/**
 * Whether shards were taken from a session without a fence. `entry` is what the ConfigMap said of it at a time, in milliseconds since 1970,
 * and says no more. `lease` is its Lease now.
 */
export const isUnfenced = (entry: string, { metadata, spec }: Lease, at: number): boolean => {
  const { holderIdentity, leaseDurationSeconds = 0, renewTime = "" } = spec ?? {}
  return (
    sessionOf(entry) === `${metadata?.uid} ${holderIdentity}` &&
    Date.parse(renewTime) + leaseDurationSeconds * 1000 < at
  )
}

const sessionOf = (entry: string): string => entry.slice(0, Math.max(0, entry.lastIndexOf(":")))

/** Looks at the ConfigMap of this path all the time. Answers the names of the Leases that it finds, which grow. */
export const watch = Effect.fnUntraced(function* ({ request }: House, path: string) {
  const unfenced: Array<string> = []
  const get = (path: string) =>
    request("GET", path).pipe(
      Effect.timeout("2 seconds"),
      Effect.option,
      Effect.map(Option.filter(({ status }) => status === 200))
    )
  let before: Sessions = {}
  let at = Date.now()
  yield* Effect.gen(function* () {
    const now = Date.now()
    const found = yield* get(path)
    if (Option.isSome(found)) {
      const after = (found.value.body as { readonly data?: Sessions }).data ?? {}
      for (const name of gone(before, after)) {
        const lease = yield* get(`/apis/coordination.k8s.io/v1/namespaces/dex/leases/${name}`)
        if (Option.isSome(lease) && isUnfenced(before[name]!, lease.value.body as Lease, at)) unfenced.push(name)
      }
      before = after
      at = now
    }
    yield* Effect.sleep("200 millis")
  }).pipe(Effect.forever, Effect.forkScoped)
  return unfenced
})
