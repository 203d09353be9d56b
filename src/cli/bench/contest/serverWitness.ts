/**
 * Proof that no more are inside than may be, on an object of the API server that contenders on many machines share. It knows nothing of
 * locks, and needs no clock: the API server puts all writes to an object in one order, and answers each with the object as it is then.
 *
 * A contender that enters the critical section writes its name onto the object, and removes it when it leaves. Both happen while it has
 * the lock. The answer to its first write has the names of all that are inside: those that have written and not yet left. So if two
 * are inside at once, the second of them sees the first.
 *
 * Independently, a contender that must be alone reads a counter in the answer when it enters, and writes it one larger when it leaves.
 * Overlaps lose updates. It also leaves its fencing token. Each that enters must have a greater one.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as LockError from "../../../LockError.ts"
import * as Resource from "../../../Resource.ts"
import type { Api } from "../harness/api.ts"
import { type Place, request } from "../harness/objects.ts"
import * as requests from "../harness/requests.ts"

/**
 * Which witness.
 *
 * - `namespace`, `names`: the object of each id that is locked: ConfigMaps.
 * - `machine`: the number of this machine. With it, the numbers of contenders are unique.
 * - `most`: how many may be inside, of those that need not be alone.
 */
export interface Options {
  readonly namespace: string
  readonly names: ReadonlyArray<string>
  readonly machine: number
  readonly most: number
}

/** The contender numbered `who` of this machine that is inside. */
export interface Visitor {
  readonly id: number
  readonly who: number
  readonly isSole: boolean
  readonly token: bigint | void
}

/** Two that were inside one critical section at once, and that may not be. */
export interface Incident {
  readonly id: number
  readonly who: string
  readonly other: string
}

/**
 * What was seen.
 *
 * - `visits`: how often a contender entered. `mostInside`: how many were inside one critical section at once.
 * - `overlaps`: how often too many were inside. `incidents` has the first of them.
 * - `updates`: how often one that must be alone has left. So often the counter was written.
 * - `staleReads`: how often the counter was written during a visit of one that need not be alone.
 * - `staleTokens`: how often a fencing token was not greater than the last one.
 * - `unsure`: how often an answer was missing, so that it is not known what is on the object.
 */
export interface Seen {
  readonly visits: number
  readonly mostInside: number
  readonly overlaps: number
  readonly updates: number
  readonly staleReads: number
  readonly staleTokens: number
  readonly unsure: number
  readonly incidents: ReadonlyArray<Incident>
}

/** Nothing was seen. */
export const nothing: Seen = {
  visits: 0,
  mostInside: 0,
  overlaps: 0,
  updates: 0,
  staleReads: 0,
  staleTokens: 0,
  unsure: 0,
  incidents: []
}

/** How many incidents are kept. */
export const incidentsKept = 16

/** What several have seen. */
export const sum = (all: ReadonlyArray<Seen>): Seen =>
  all.reduce(
    (a, b) => ({
      visits: a.visits + b.visits,
      mostInside: Math.max(a.mostInside, b.mostInside),
      overlaps: a.overlaps + b.overlaps,
      updates: a.updates + b.updates,
      staleReads: a.staleReads + b.staleReads,
      staleTokens: a.staleTokens + b.staleTokens,
      unsure: a.unsure + b.unsure,
      incidents: [...a.incidents, ...b.incidents].slice(0, incidentsKept)
    }),
    nothing
  )

/** What is on the object: how often one that must be alone has left, the last fencing token, and those inside. */
export interface Sight {
  readonly count: number
  readonly token: bigint
  readonly inside: ReadonlyArray<{ readonly who: string; readonly isSole: boolean }>
}

const Data = Schema.fromJsonString(
  Schema.Struct({ data: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)) })
)

const insideKey = "inside."

const how = (isSole: boolean): string => (isSole ? "alone" : "together")

const whole = (text = ""): bigint => (/^\d+$/.test(text) ? BigInt(text) : 0n)

/** Reads an object. */
export const read = (body: string): Effect.Effect<Sight, Schema.SchemaError> =>
  Effect.map(Schema.decodeEffect(Data)(body), ({ data = {} }) => ({
    count: Number(whole(data["count"])),
    token: whole(data["token"]),
    inside: Object.entries(data).flatMap(([key, value]) =>
      key.startsWith(insideKey) ? [{ who: key.slice(insideKey.length), isSole: value === how(true) }] : []
    )
  }))

/** The contender that must not be inside together with the one of this name, which sees this when it enters: `undefined` if all is well. */
export const intruder = (
  name: string,
  { isSole, most }: { readonly isSole: boolean; readonly most: number },
  { inside }: Pick<Sight, "inside">
): string | undefined => {
  const others = inside.filter(({ who }) => who !== name)
  if (isSole || others.length >= most) return others[0]?.who
  return others.find((other) => other.isSole)?.who
}

/** The witness. `during` runs what is done inside, between the two writes. */
export interface ServerWitness {
  readonly during: <A>(visitor: Visitor, work: Effect.Effect<A>) => Effect.Effect<A, LockError.StoreError>
  readonly seen: () => Seen
}

/** How long a write is tried. Our choice: longer than a lease, so that a server that is away for a moment spoils no test. */
const patience = "20 seconds"

/** Makes the witness. Its requests are not counted. */
export const make = (api: Api, { machine, most, names, namespace }: Options): ServerWitness => {
  const place: Place = { api, resource: Resource.configMap, namespace }
  for (const name of names) requests.leaveOut(Resource.objectPath(place.resource, namespace, name))
  const tally = { visits: 0, mostInside: 0, overlaps: 0, updates: 0, staleReads: 0, staleTokens: 0, unsure: 0 }
  const incidents: Array<Incident> = []

  // A merge patch has the same effect if it is sent again.
  const write = (id: number, data: Readonly<Record<string, string | null>>) =>
    request(place, "patch", names[id]!, { data }).pipe(
      Effect.flatMap((body) => Effect.orDie(read(body))),
      Effect.retry({
        while: ({ _tag }) => _tag === "LockUnavailable",
        schedule: Schedule.spaced("250 millis").pipe(Schedule.upTo({ duration: patience }))
      }),
      Effect.tapError(() => Effect.sync(() => tally.unsure++))
    )

  const nameOf = ({ who }: Visitor): string => `${machine}.${who}`

  const enter = (visitor: Visitor) =>
    Effect.map(write(visitor.id, { [`${insideKey}${nameOf(visitor)}`]: how(visitor.isSole) }), (sight) => {
      const { id, isSole, token } = visitor
      tally.visits++
      tally.mostInside = Math.max(tally.mostInside, sight.inside.length)
      if (typeof token === "bigint" && token <= sight.token) tally.staleTokens++
      const other = intruder(nameOf(visitor), { isSole, most }, sight)
      if (other !== undefined) {
        tally.overlaps++
        if (incidents.length < incidentsKept) incidents.push({ id, who: nameOf(visitor), other })
      }
      return sight.count
    })

  const leave = (visitor: Visitor, count: number) =>
    Effect.map(
      write(visitor.id, {
        [`${insideKey}${nameOf(visitor)}`]: null,
        ...(visitor.isSole ? { count: String(count + 1) } : {}),
        ...(visitor.isSole && typeof visitor.token === "bigint" ? { token: String(visitor.token) } : {})
      }),
      (sight) => {
        if (visitor.isSole) tally.updates++
        else if (sight.count !== count) tally.staleReads++
      }
    )

  return {
    during: (visitor, work) =>
      Effect.acquireUseRelease(
        enter(visitor),
        () => work,
        (count) => leave(visitor, count)
      ),
    seen: () => ({ ...tally, incidents })
  }
}
