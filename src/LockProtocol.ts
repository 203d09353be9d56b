/**
 * The protocol, pure: what a lock's record means at a given time, what to do about it, and what to write.
 *
 * Nothing here reads a clock or talks to a store. The library runs these very functions; the tests check them as
 * tables, and the simulation and the exhaustive exploration run them in worlds that fail.
 */
import type { Lease, LockRecord } from "./LockRecord.ts"
import * as Record from "./LockRecord.ts"
import type { ServerTime } from "./ObjectStore.ts"

/**
 * The state of a lock.
 *
 * Dex's rule: held while `now <= expiry`, expired strictly after. `now` is the earliest that the server's clock can be,
 * so that a lock which might still be valid is never called expired. `holder` is absent where it is not known.
 */
export type LockState =
  | { readonly _tag: "Free" }
  | ({ readonly _tag: "Held"; readonly until: number } & Seen)
  | ({ readonly _tag: "Expired"; readonly since: number } & Seen)
  | { readonly _tag: "Malformed"; readonly value: string }

/** A lock as others see it: until when, as written, and by whom. `holder` is absent where it is not known. */
export interface Seen {
  readonly expiry: string
  readonly holder?: string
}

/**
 * What a contender does next: write a lease of its own over the object as read, wait, or give up. `broken` is the
 * expired lock that the lease would replace.
 */
export type Decision =
  | { readonly _tag: "Acquire"; readonly lease: Lease; readonly broken: Seen | undefined }
  | ({ readonly _tag: "Wait" } & Seen)
  | { readonly _tag: "Malformed"; readonly value: string }

/** What became of a lease that we wrote, by a record read later. */
export type Fate =
  | { readonly _tag: "Ours"; readonly expiry: string }
  | ({ readonly _tag: "Broken" } & Seen)
  | { readonly _tag: "Wiped" }

/** Reads a record at a time. */
export const observe = (record: LockRecord, now: ServerTime): LockState => {
  switch (record._tag) {
    case "Absent":
      return { _tag: "Free" }
    case "Malformed":
      return record
    case "Present": {
      return now.earliest > record.expiresAt
        ? { _tag: "Expired", since: record.expiresAt, ...seen(record) }
        : { _tag: "Held", until: record.expiresAt, ...seen(record) }
    }
  }
}

/**
 * Decides for a contender.
 *
 * A free or expired lock is there to be acquired. So is one that already names this contender: a write of its own whose
 * answer was lost, which nobody should wait out.
 */
export const decide = (record: LockRecord, now: ServerTime, contender: Contender): Decision => {
  const state = observe(record, now)
  switch (state._tag) {
    case "Malformed":
      return state
    case "Held":
      return state.holder === contender.holder
        ? { _tag: "Acquire", lease: nextLease(now, contender, state.expiry), broken: undefined }
        : { _tag: "Wait", ...seen(state) }
    case "Free":
      return { _tag: "Acquire", lease: nextLease(now, contender), broken: undefined }
    case "Expired":
      return state.holder === contender.holder
        ? { _tag: "Acquire", lease: nextLease(now, contender, state.expiry), broken: undefined }
        : { _tag: "Acquire", lease: nextLease(now, contender), broken: seen(state) }
  }
}

/** Who wants the lock, and for how long (`ttl` in milliseconds). */
export interface Contender {
  readonly holder: string
  readonly ttl: number
}

/**
 * The lease to write now, to acquire or to renew.
 *
 * It ends no earlier than `ttl` after the latest that the server's clock can be, rounded up to whole seconds: what others
 * read is never earlier than what the holder relies on. Nor does it end earlier than `standing`, the expiry of a lease of
 * this very holder that may stand: as more is learnt of the server's clock its latest time can shrink, and a write whose
 * answer was lost may yet arrive after a later one. None of them may shorten what another has promised.
 */
export const nextLease = (now: ServerTime, { holder, ttl }: Contender, standing?: string): Lease => {
  const expiry = Record.expiryAt(now.latest + ttl)
  // Both are of our own writing, whole seconds in UTC, and so in the order of time.
  return { holder, expiry: standing !== undefined && standing > expiry ? standing : expiry }
}

/**
 * Judges by a later reading what became of a holder's lease: it stands, somebody else's stands in its place, or none does.
 */
export const fate = (record: LockRecord, holder: string): Fate => {
  switch (record._tag) {
    case "Absent":
      return { _tag: "Wiped" }
    case "Malformed":
      return { _tag: "Broken", expiry: record.value }
    case "Present":
      return record.holder === holder ? { _tag: "Ours", expiry: record.expiry } : { _tag: "Broken", ...seen(record) }
  }
}

const seen = ({ expiry, holder }: { readonly expiry: string; readonly holder?: string | undefined }): Seen =>
  holder === undefined ? { expiry } : { expiry, holder }
