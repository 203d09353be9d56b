/** What becomes of locks, for as long as somebody looks. */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as sessionLease from "../../internal/session/sessionLease.ts"
import type * as LockError from "../../LockError.ts"
import type * as look from "./look.ts"
import type { Change, Objects } from "./objects.ts"
import * as sessions from "./sessions.ts"
import * as view from "./view.ts"

/**
 * What is known anew of a source: all its objects, what has become of one, or that they may not be looked at; which sessions of its locks
 * have no Lease any more; or the Lease of the session that holds the lock. The Leases of sessions have sources of their own: their numbers
 * follow those of the place.
 */
export type Event = { readonly source: number } & (
  | { readonly listed: ReadonlyArray<view.Found> }
  | { readonly change: Change }
  | { readonly refused: LockError.Forbidden }
  | { readonly gone: ReadonlyArray<sessionLease.SessionReference> }
  | { readonly session: sessionLease.SessionReference; readonly lease: sessions.Lease }
)

/** How a source of events says that something is wrong with it. */
export type Tell = (source: number, message: string) => Effect.Effect<void>

/** All events of a place. */
export const of = (place: look.Place, tell: Tell): Stream.Stream<Event, LockError.StoreError> =>
  Stream.mergeAll(
    place.sources.map((objects, source) =>
      withSession(place, eventsOfOne(place, objects, { source, tell }), {
        source: place.sources.length + source,
        tell
      })
    ),
    { concurrency: "unbounded" }
  )

// A watch that ends or breaks is opened again.
const eventsOfOne = (
  place: look.Place,
  { changes, list }: Objects,
  { source, tell }: { readonly source: number; readonly tell: Tell }
): Stream.Stream<Event, LockError.StoreError> =>
  Stream.unwrap(
    Effect.map(list, ({ items, resourceVersion }) =>
      Stream.concat(
        Stream.succeed<Event>({ source, listed: items }),
        Stream.merge(
          Stream.map(changes(resourceVersion), (change): Event => ({ source, change })),
          Stream.map(goneOf(place, items), (gone): Event => ({ source, gone })),
          { haltStrategy: "left" }
        )
      )
    )
  ).pipe(
    Stream.catchTag("LockUnavailable", ({ message }) => Stream.fromEffectDrain(tell(source, message))),
    Stream.repeat(Schedule.spaced("1 second")),
    Stream.catchTag("LockForbidden", (refused) =>
      Stream.concat(Stream.succeed<Event>({ source, refused }), Stream.never)
    )
  )

// Only a list of Leases that comes after the locks tells which of their sessions are gone. One that is deleted later is told by the watch.
const goneOf = (
  place: look.Place,
  items: ReadonlyArray<view.Found>
): Stream.Stream<ReadonlyArray<sessionLease.SessionReference>> => {
  const named = view.sessionsNamed(items, place.key)
  if (place.sessions === undefined || named.length === 0) return Stream.empty
  return Stream.fromEffect(
    Effect.match(place.sessions, {
      onSuccess: (leaseOf) => named.filter((session) => leaseOf(session) === "Gone"),
      onFailure: () => []
    })
  )
}

/** A source of the Leases of sessions. Once they were refused, it asks for none. */
interface Leases {
  readonly source: number
  readonly tell: Tell
  isRefused?: boolean
}

// With a name there is one object at most, and without one no session is looked up.
const withSession = (
  place: look.Place,
  events: Stream.Stream<Event, LockError.StoreError>,
  leases: Leases
): Stream.Stream<Event, LockError.StoreError> =>
  Stream.unwrap(
    Effect.map(SubscriptionRef.make<sessionLease.SessionReference | undefined>(undefined), (session) =>
      Stream.merge(
        Stream.tap(events, (event) => SubscriptionRef.set(session, sessionIn(place, event))),
        SubscriptionRef.changes(session).pipe(
          Stream.changesWith((a, b) => textOf(a) === textOf(b)),
          Stream.switchMap((session) =>
            session === undefined ? Stream.empty : eventsOfLease(place.leaseOf(session), session, leases)
          )
        )
      )
    )
  )

const textOf = (session: sessionLease.SessionReference | undefined): string =>
  session === undefined ? "" : sessionLease.format(session)

const sessionIn = ({ sessionOf }: look.Place, event: Event): sessionLease.SessionReference | undefined => {
  if ("listed" in event) return event.listed.map(sessionOf)[0]
  return "change" in event && !event.change.isGone ? sessionOf(event.change) : undefined
}

// Who may read a Lease and not watch it reads it each second.
const eventsOfLease = (
  { changes, list }: Objects,
  session: sessionLease.SessionReference,
  leases: Leases
): Stream.Stream<Event> => {
  const { source, tell } = leases
  const shows = (lease: sessions.Lease): Event => ({ source, session, lease })
  if (leases.isRefused === true) return Stream.succeed(shows("Unknown"))
  let isKnown = false
  let mayWatch = true
  return Stream.unwrap(
    Effect.map(list, ({ items, resourceVersion }) => {
      isKnown = true
      const found = Stream.succeed(shows(sessions.leaseAmong(items)))
      if (!mayWatch) return found
      return Stream.concat(
        found,
        Stream.map(changes(resourceVersion), ({ isGone, snapshot }) => shows(isGone ? "Gone" : snapshot))
      ).pipe(
        Stream.catchTag("LockForbidden", () => {
          mayWatch = false
          return Stream.empty
        })
      )
    })
  ).pipe(
    Stream.catchTag("LockUnavailable", ({ message }) =>
      Stream.concat(
        isKnown ? Stream.empty : Stream.succeed(shows("Unknown")),
        Stream.fromEffectDrain(tell(source, message))
      )
    ),
    Stream.repeat(Schedule.spaced("1 second")),
    Stream.catch(({ message }) => {
      leases.isRefused = true
      return Stream.concat(Stream.succeed(shows("Unknown")), Stream.fromEffectDrain(tell(source, message)))
    })
  )
}
