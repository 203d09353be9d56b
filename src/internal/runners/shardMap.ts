/**
 * Which session holds which shards of one group: the data of a ConfigMap, with one entry for each session that holds any. Pure.
 *
 * ```yaml
 * data:
 *   my-cluster-session-3: "4f1c2b6e-5a37-4e0f-9a51-0d0f6a3b8c11 web-7f9c-x2kd/1: 1-100 205"
 *   my-cluster-session-11: "0b6f7a52-8a0e-4a43-9d7f-2f6f1f3f7d10 web-7f9c-9qwz/1: 101-204 206-300"
 * ```
 *
 * The key is the Lease of the session. The value is the uid of the Lease, the session's incarnation there, and the shards in order, as
 * ranges. A shard that stands nowhere is free.
 */
import * as Result from "effect/Result"
import * as sessionLease from "../session/sessionLease.ts"

/** The data of a ConfigMap. */
export type Data = Readonly<Record<string, string>>

/** A session, as `sessionLease.format` writes it. */
export type Session = string

/** The shards of each session. */
export type Holders = ReadonlyMap<Session, ReadonlySet<number>>

/**
 * Reads the data. `namespace` is that of the Leases. Fails with a sentence if an entry cannot be read, or if two sessions hold one shard:
 * somebody has edited it.
 */
export const decode = (namespace: string, data: Data): Result.Result<Holders, string> => {
  const holders = new Map<Session, ReadonlySet<number>>()
  const holderOf = new Map<number, Session>()
  for (const [name, text] of Object.entries(data)) {
    const at = text.lastIndexOf(": ")
    const reference = sessionLease.parse(`${namespace}/${name} ${text.slice(0, Math.max(0, at))}`)
    const shards = parse(text.slice(at + 1))
    if (reference === undefined || shards === undefined) {
      return Result.fail(`the entry ${name} is ${JSON.stringify(text)}, which is no session with its shards`)
    }
    const session = sessionLease.format(reference)
    for (const shard of shards) {
      const other = holderOf.get(shard)
      if (other !== undefined) return Result.fail(`the shard ${shard} belongs to both ${other} and ${session}`)
      holderOf.set(shard, session)
    }
    holders.set(session, shards)
  }
  return Result.succeed(holders)
}

/** Writes the data. A session without shards has no entry. */
export const encode = (holders: Holders): Data =>
  Object.fromEntries(
    Array.from(holders).flatMap(([session, shards]) => {
      const reference = sessionLease.parse(session)
      return reference === undefined || shards.size === 0
        ? []
        : [[reference.name, `${reference.uid} ${reference.incarnation}: ${format(shards)}`]]
    })
  )

/** The shards of a session. */
export const shardsOf = (holders: Holders, session: Session): ReadonlySet<number> => holders.get(session) ?? new Set()

/** The sessions other than this one that hold any of these shards. */
export const othersWith = (holders: Holders, session: Session, shards: ReadonlySet<number>): ReadonlyArray<Session> =>
  Array.from(holders)
    .filter(([other, held]) => other !== session && Array.from(held).some((shard) => shards.has(shard)))
    .map(([other]) => other)

/**
 * The holders after a session has taken those of the shards that are free. All that a session held which has ended is free. A session on
 * the same Lease as this one has ended.
 */
export const acquire = (
  holders: Holders,
  session: Session,
  wanted: ReadonlySet<number>,
  hasEnded: (session: Session) => boolean
): Holders => {
  const lease = leaseOf(session)
  const others = Array.from(holders).filter(
    ([other]) => other !== session && leaseOf(other) !== lease && !hasEnded(other)
  )
  const taken = new Set(wanted)
  for (const [, held] of others) for (const shard of held) taken.delete(shard)
  return new Map([...others, [session, new Set([...shardsOf(holders, session), ...taken])]])
}

/** The holders after a session has released shards. */
export const release = (holders: Holders, session: Session, shards: ReadonlySet<number>): Holders =>
  holders.has(session)
    ? new Map(holders).set(session, new Set(Array.from(shardsOf(holders, session)).filter((one) => !shards.has(one))))
    : holders

const leaseOf = (session: Session): string | undefined => sessionLease.parse(session)?.name

const format = (shards: ReadonlySet<number>): string => {
  const ranges: Array<[first: number, last: number]> = []
  for (const shard of Array.from(shards).toSorted((a, b) => a - b)) {
    const range = ranges.at(-1)
    if (range?.[1] === shard - 1) range[1] = shard
    else ranges.push([shard, shard])
  }
  return ranges.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(" ")
}

const parse = (text: string): ReadonlySet<number> | undefined => {
  const shards = new Set<number>()
  for (const range of text.trim().split(/\s+/)) {
    const [, first, last = first] = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(range) ?? []
    if (first === undefined || Number(last) - Number(first) > longestRange) return undefined
    for (let shard = Number(first); shard <= Number(last); shard++) shards.add(shard)
  }
  return shards
}

// Far more shards than a group has: a longer range is a mistake.
const longestRange = 100_000
