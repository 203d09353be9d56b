/**
 * The runners of a cluster: the data of a ConfigMap, with one entry for each machine id that is in use. Pure.
 *
 * ```yaml
 * data:
 *   "0": '{"address":"10.0.0.5:34431","healthy":true,"runner":{…},"session":"runner-7f9c.4f1c2b6e-….1"}'
 *   "1": '{"session":"runner-x2kd.0b6f7a52-….1"}'
 * ```
 *
 * The key is the machine id. A runner that has unregistered may still draw ids of messages until its session has ended. Until then its
 * entry stays, without an address, and keeps the machine id from others. An entry that cannot be read keeps its machine id, too.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Data, Session } from "./shardMap.ts"

const Entry = Schema.fromJsonString(
  Schema.Struct({
    session: Schema.String,
    address: Schema.optionalKey(Schema.String),
    healthy: Schema.optionalKey(Schema.Boolean),
    runner: Schema.optionalKey(Schema.Json)
  })
)

/** A machine id, and the session of its runner. It has the other fields while the runner is registered. */
export type Entry = (typeof Entry)["Type"]

/** A registered runner, as the text that `RunnerStorage` makes of it. */
export interface Registration {
  readonly address: string
  readonly runner: string
  readonly healthy: boolean
  readonly session: Session
}

/** Machine ids are below this: Effect's snowflakes have room for so many. */
export const machineIds = 1024

const decode = Schema.decodeOption(Entry)
const encode = Schema.encodeSync(Entry)

/** The entries that can be read, by machine id. */
export const entries = (data: Data): ReadonlyArray<readonly [id: number, entry: Entry]> =>
  Object.entries(data).flatMap(([id, text]) =>
    Option.match(decode(text), { onNone: () => [], onSome: (entry) => [[Number(id), entry] as const] })
  )

/** The registered runners: what `RunnerStorage.getRunners` answers. */
export const registered = (data: Data): ReadonlyArray<Registration> =>
  entries(data).flatMap(([, { address, healthy = false, runner, session }]) =>
    address === undefined ? [] : [{ address, healthy, runner: JSON.stringify(runner), session }]
  )

/**
 * Registers a runner, or updates it. The machine id is the one that a session of this runner already has (`isOurs`), or else the smallest
 * that is free. If another runner is registered under the address, it keeps its machine id and loses the address. Answers no machine id
 * if none is free.
 */
export const register = (
  data: Data,
  { address, healthy, runner, session }: Registration,
  isOurs: (session: Session) => boolean
): { readonly data: Data; readonly id: number | undefined } => {
  const known = entries(data)
  const others = known.filter(([, entry]) => entry.address === address && !isOurs(entry.session))
  const id = known.find(([, entry]) => isOurs(entry.session))?.[0] ?? smallestFree(data)
  if (id === undefined) return { data, id }
  const entry = encode({ address, healthy, runner: JSON.parse(runner), session })
  const replaced = others.map(([id, { session }]) => [id, encode({ session })])
  return { data: { ...data, ...Object.fromEntries(replaced), [id]: entry }, id }
}

/** Unregisters the runner with this address, if it is the one that is meant. */
export const unregister = (data: Data, address: string, isMeant: (session: Session) => boolean): Data =>
  mapped(data, (entry) => (entry.address === address && isMeant(entry.session) ? { session: entry.session } : entry))

/** Sets whether the runner with this address is healthy, if it is the one that is meant. */
export const setHealth = (
  data: Data,
  address: string,
  healthy: boolean,
  isMeant: (session: Session) => boolean
): Data =>
  mapped(data, (entry) => (entry.address === address && isMeant(entry.session) ? { ...entry, healthy } : entry))

/** Removes a session that has ended, and with it its runner. Its machine id is free. */
export const remove = (data: Data, session: Session): Data =>
  Object.fromEntries(
    Object.entries(data).filter(([, text]) => Option.getOrUndefined(decode(text))?.session !== session)
  )

/**
 * The session that the runner of this session looks after: the one with the next machine id, and after the greatest the smallest. So each
 * runner is looked after by one other, however many there are. `undefined` if there is no other, or if this session has no machine id.
 */
export const lookedAfterBy = (data: Data, session: Session): Session | undefined => {
  const sessions = entries(data).toSorted(([a], [b]) => a - b)
  const index = sessions.findIndex(([, entry]) => entry.session === session)
  const next = index < 0 ? undefined : sessions[(index + 1) % sessions.length]?.[1].session
  return next === session ? undefined : next
}

const smallestFree = (data: Data): number | undefined => {
  for (let id = 0; id < machineIds; id++) if (!Object.hasOwn(data, String(id))) return id
  return undefined
}

const mapped = (data: Data, change: (entry: Entry) => Entry): Data =>
  Object.fromEntries(
    Object.entries(data).map(([id, text]) => [
      id,
      Option.match(decode(text), {
        onNone: () => text,
        onSome: (entry) => {
          const changed = change(entry)
          return changed === entry ? text : encode(changed)
        }
      })
    ])
  )
