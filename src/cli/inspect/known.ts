/** What is known of locks, by the events so far. */
import * as sessionLease from "../../internal/session/sessionLease.ts"
import type * as LockError from "../../LockError.ts"
import type { Event } from "./events.ts"
import type * as look from "./look.ts"
import type { Change } from "./objects.ts"
import type * as sessions from "./sessions.ts"
import * as view from "./view.ts"

/** What has become of objects, by their keys. */
export type Changes = Iterable<readonly [key: string, change: Change]>

/**
 * What is known.
 *
 * - `objects`: the objects that are there.
 * - `sessions`: what is known of the Leases of sessions.
 * - `learn`: takes an event. Answers what may be seen otherwise from now on.
 * - `isPending`: whether the Lease of the session that holds a lock is still being looked up.
 * - `isWhole`: whether all sources have answered, so that what is not known is not there, or may not be looked at.
 * - `refused`: what may not be looked at. Nothing before all sources have answered, nor if what was asked for is among the objects.
 */
export interface Known {
  readonly objects: ReadonlyMap<string, Change>
  readonly sessions: sessions.Sessions
  readonly learn: (event: Event) => Changes
  readonly isPending: (found: view.Found) => boolean
  readonly isWhole: () => boolean
  readonly refused: () => ReadonlyArray<LockError.Forbidden>
}

/** Makes what is known of a place before the first event: nothing. */
export const make = ({ isAnswer, sessionOf, sources }: look.Place): Known => {
  const objects = new Map<string, Change>()
  const answers = new Map<number, LockError.Forbidden | undefined>()
  // The uids of Leases that were deleted.
  const deleted = new Set<string>()
  // Each source has one session at a time.
  const leases = new Map<number, { readonly session: string; readonly lease: sessions.Lease }>()

  const lookedUp = (reference: sessionLease.SessionReference): sessions.Lease | undefined => {
    const text = sessionLease.format(reference)
    return Array.from(leases.values()).find(({ session }) => session === text)?.lease
  }

  // A watch of a whole cluster tells of many Leases: they are not gone through for each event.
  const listed = (session: sessionLease.SessionReference): sessions.Lease =>
    Array.from(sources.keys(), (source) => objects.get(keyOf(source, session))).find(
      (one) => one !== undefined && view.isLease(one.resource)
    )?.snapshot ?? (deleted.has(session.uid) ? "Gone" : "Unknown")

  // What is not listed any more was deleted while nobody watched.
  const toldBy = (source: number, found: ReadonlyArray<view.Found>): ReadonlyArray<Change> => {
    const keys = new Set(found.map((one) => keyOf(source, one)))
    const missing = entriesOf(source).filter(([key]) => !keys.has(key))
    return [...found.map(changeTo(false)), ...missing.map(([, one]) => changeTo(true)(one))]
  }

  const entriesOf = (source: number) => Array.from(objects).filter(([key]) => key.startsWith(`${source} `))

  const take = (source: number, changes: ReadonlyArray<Change>): Changes => {
    const keyed = changes.map((one) => [keyOf(source, one), one] as const)
    for (const [key, one] of keyed) {
      if (!one.isGone) objects.set(key, one)
      else {
        objects.delete(key)
        if (view.isLease(one.resource)) deleted.add(one.snapshot.uid)
      }
    }
    return keyed
  }

  return {
    objects,
    sessions: (session) => lookedUp(session) ?? listed(session),
    learn: (event) => {
      const { source } = event
      if ("lease" in event) {
        leases.set(source, { session: sessionLease.format(event.session), lease: event.lease })
        return objects
      }
      if ("gone" in event) {
        for (const { uid } of event.gone) deleted.add(uid)
        return objects
      }
      if ("change" in event) return take(source, [event.change])
      if ("listed" in event) {
        answers.set(source, undefined)
        return take(source, toldBy(source, event.listed))
      }
      answers.set(source, event.refused)
      for (const [key] of entriesOf(source)) objects.delete(key)
      return []
    },
    isPending: (found) => {
      const session = sessionOf(found)
      return session !== undefined && lookedUp(session) === undefined
    },
    isWhole: () => answers.size === sources.length,
    refused: () => {
      const refused = Array.from(answers.values()).filter((answer) => answer !== undefined)
      return answers.size < sources.length || Array.from(objects.values()).some(isAnswer) ? [] : refused
    }
  }
}

const keyOf = (source: number, { name, namespace }: Pick<view.Found, "name" | "namespace">): string =>
  `${source} ${namespace} ${name}`

const changeTo =
  (isGone: boolean) =>
  ({ name, namespace, resource, snapshot }: view.Found): Change => ({ resource, name, namespace, snapshot, isGone })
