/** What `kubelock inspect` does: shows locks, once or for as long as somebody looks. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { stringify } from "yaml"
import type * as LockError from "../../LockError.ts"
import { misused } from "../exitCodes.ts"
import { say } from "../program.ts"
import * as target from "../target.ts"
import type { Given } from "./command.ts"
import * as look from "./look.ts"
import type { Change, Objects } from "./objects.ts"
import * as table from "./table.ts"
import * as view from "./view.ts"

/** Shows what was asked for. */
export const run = (given: Given) =>
  Effect.gen(function* () {
    if (given.allNamespaces && Option.isSome(given.name)) {
      return yield* misused("a lock has one namespace: give a name or --all-namespaces, not both")
    }
    const place = yield* look.placeOf(given)
    return yield* given.watch ? follow(given, place) : showOnce(given, place)
  }).pipe(Effect.provide(target.client))

const showOnce = (given: Given, place: look.Place) =>
  Effect.gen(function* () {
    const found = yield* look.now(place)
    const now = yield* place.time
    const views = found.map((one) => view.of(one, place.key, now))
    if (found.length === 0) {
      yield* say(
        Option.isSome(given.name)
          ? `There is nothing of a lock ${given.name.value} ${place.place}: nobody holds it.`
          : `There are no locks ${place.place}.`
      )
    }
    if (found.length > 0 || given.output === "json" || given.output === "yaml") yield* show(given, views, now.earliest)
  })

const show = (given: Given, views: ReadonlyArray<view.View>, now: number): Effect.Effect<void> => {
  const [only] = views
  const document = Option.isSome(given.name) && views.length === 1 ? only : { items: views }
  switch (given.output) {
    case "table":
    case "wide":
      return Console.log(table.lines(views, columnsOf(given), now).join("\n"))
    case "json":
      return Console.log(JSON.stringify(document, undefined, 2))
    case "yaml":
      return Console.log(stringify(document).trimEnd())
    case "name":
      return Console.log(views.map(nameOf).join("\n"))
  }
}

const columnsOf = ({ allNamespaces, output }: Given): table.Columns => ({
  namespaces: allNamespaces,
  wide: output === "wide"
})

const nameOf = ({ name, resource }: view.View): string => `${resource}/${name}`

/** What is known anew: all objects of a source, or what has become of one. */
type Event = { readonly source: number } & (
  | { readonly listed: ReadonlyArray<view.Found> }
  | { readonly change: Change }
)

/** Shows locks, and what becomes of them, without end. */
const follow = (given: Given, place: look.Place) => {
  const isInPlace = process.stdout.isTTY && (given.output === "table" || given.output === "wide")
  const events = Stream.mergeAll(
    place.sources.map((source, index) => eventsOf(source, index, place.sources.length === 1)),
    { concurrency: "unbounded" }
  )
  return isInPlace ? draw(given, place, events) : print(given, place, events)
}

// A watch that ends or breaks is opened again.
const eventsOf = (
  { changes, list }: Objects,
  source: number,
  isOnly: boolean
): Stream.Stream<Event, LockError.StoreError> =>
  Stream.unwrap(
    Effect.map(list, ({ items, resourceVersion }) =>
      Stream.concat(
        Stream.succeed<Event>({ source, listed: items }),
        Stream.map(changes(resourceVersion), (change): Event => ({ source, change }))
      )
    )
  ).pipe(
    Stream.catchTag("LockUnavailable", ({ message }) => Stream.fromEffectDrain(say(message))),
    Stream.repeat(Schedule.spaced("1 second")),
    Stream.catchTag("LockForbidden", (error) =>
      isOnly ? Stream.fail(error) : Stream.concat(Stream.fromEffectDrain(say(error.message)), Stream.never)
    )
  )

/** Draws the table anew whenever something changes, and each second, because it tells times. */
const draw = (given: Given, place: look.Place, events: Stream.Stream<Event, LockError.StoreError>) => {
  const known = new Map<string, view.Found>()
  let height = 0
  const frame = Effect.map(place.time, (now) => {
    const locks = [...known.values()].filter(place.isWanted).toSorted(look.byPlace)
    const views = locks.map((one) => view.of(one, place.key, now))
    const { columns = 80, rows = 24 } = process.stdout
    const lines = table.lines(views, columnsOf(given), now.earliest).slice(0, rows - 1)
    const up = height === 0 ? "" : `\u001B[${height}F\u001B[J`
    height = lines.length
    process.stdout.write(`${up}${lines.map((line) => `${line.slice(0, columns - 1)}\n`).join("")}`)
  })
  const updates = Stream.tap(events, (event) => Effect.sync(() => learn(known, event)))
  return Stream.runForEach(Stream.merge(updates, Stream.tick("1 second")), () => frame)
}

const keyOf = ({ source }: Event, { name, namespace }: Pick<view.Found, "name" | "namespace">): string =>
  `${source} ${namespace} ${name}`

const learn = (known: Map<string, view.Found>, event: Event): void => {
  if ("change" in event) {
    if (event.change.isGone) known.delete(keyOf(event, event.change))
    else known.set(keyOf(event, event.change), event.change)
    return
  }
  for (const key of known.keys()) if (key.startsWith(`${event.source} `)) known.delete(key)
  for (const one of event.listed) known.set(keyOf(event, one), one)
}

/** Prints each lock as it is, and again whenever more of it changes than its expiry. */
const print = (given: Given, place: look.Place, events: Stream.Stream<Event, LockError.StoreError>) => {
  const printed = new Map<string, string>()
  let hasHeading = false
  return Stream.runForEach(events, (event) =>
    Effect.gen(function* () {
      const now = yield* place.time
      const found = "change" in event ? [event.change] : event.listed
      const news = found
        .filter((one) => place.isWanted(one) || printed.has(keyOf(event, one)))
        .map((one) => ("isGone" in one && one.isGone === true ? view.gone(one) : view.of(one, place.key, now)))
        .filter((seen) => {
          const essence = JSON.stringify(seen, (name, value: unknown) => (name === "expires" ? undefined : value))
          const key = keyOf(event, seen)
          if (printed.get(key) === essence) return false
          printed.set(key, essence)
          return true
        })
      if (news.length === 0) return
      yield* Console.log(textOf(given, news, now.earliest, !hasHeading))
      hasHeading = true
    })
  )
}

const textOf = (given: Given, news: ReadonlyArray<view.View>, now: number, withHeading: boolean): string => {
  switch (given.output) {
    case "table":
    case "wide":
      return table
        .lines(news, columnsOf(given), now)
        .slice(withHeading ? 0 : 1)
        .join("\n")
    case "json":
      return news.map((seen) => JSON.stringify(seen)).join("\n")
    case "yaml":
      return news.map((seen) => `---\n${stringify(seen).trimEnd()}`).join("\n")
    case "name":
      return news.map(nameOf).join("\n")
  }
}
