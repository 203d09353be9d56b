/** What `kubelock inspect` does: shows locks, once or for as long as somebody looks. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import { stringify } from "yaml"
import type * as LockError from "../../LockError.ts"
import type { ServerTime } from "../../ObjectStore.ts"
import { Ended, exitCodes, misused } from "../exitCodes.ts"
import { say } from "../program.ts"
import * as target from "../target.ts"
import type { Given } from "./command.ts"
import * as events from "./events.ts"
import * as known from "./known.ts"
import * as look from "./look.ts"
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
    const { found, isPartial, light } = yield* look.now(place)
    const views = found.map((one) => view.of(one, light))
    if (found.length === 0) {
      // As kubectl has it: what was named and is not there is a failure, and an empty list is none.
      const message = nothing(given, place, isPartial)
      if (Option.isSome(given.name)) return yield* new Ended({ code: exitCodes.notThere, message })
      yield* say(message)
    }
    if (found.length > 0 || given.output === "json" || given.output === "yaml")
      yield* show(given, views, light.now.earliest)
  })

const nothing = ({ name }: Given, { place }: look.Place, isPartial: boolean): string => {
  const visible = isPartial ? " that may be looked at" : ""
  return Option.match(name, {
    onNone: () => `There are no locks ${place}${visible}.`,
    onSome: (name) => `There is nothing of a lock ${name} ${place}${visible || ": nobody holds it"}.`
  })
}

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

/** Shows locks, and what becomes of them, without end. It ends if nothing may be looked at. */
const follow = (given: Given, place: look.Place) => {
  const isInPlace = process.stdout.isTTY && (given.output === "table" || given.output === "wide")
  return isInPlace ? draw(given, place) : print(given, place)
}

const unlessRefused = (place: look.Place, refused: ReadonlyArray<LockError.Forbidden>) =>
  refused.length === place.sources.length ? Effect.fail(refused[0]!) : Effect.void

/** Draws the table anew whenever something changes, and each second, because it tells times. What is wrong is below it. */
const draw = (given: Given, place: look.Place) => {
  const what = known.make(place)
  const wrong = new Map<number, string>()
  let height = 0
  const linesAt = (now: ServerTime): ReadonlyArray<string> => {
    const locks = [...what.objects.values()].filter(place.isWanted).toSorted(look.byPlace)
    if (locks.length === 0) return what.isWhole() ? [nothing(given, place, what.refused().length > 0)] : []
    const light = { key: place.key, now, sessions: what.sessions }
    return table.lines(
      locks.map((one) => view.of(one, light)),
      columnsOf(given),
      now.earliest
    )
  }
  const frame = Effect.map(place.time, (now) => {
    // A terminal may not know its size, and says 0.
    const columns = process.stdout.columns || 80
    const rows = process.stdout.rows || 24
    const problems = [...wrong.values(), ...what.refused().map(({ message }) => message)]
    const lines = [...cut(linesAt(now), Math.max(1, rows - 1 - problems.length)), ...problems]
    const up = height === 0 ? "" : `\u001B[${height}F\u001B[J`
    height = lines.length
    process.stdout.write(`${up}${lines.map((line) => `${line.slice(0, columns - 1)}\n`).join("")}`)
  })
  const tell: events.Tell = (source, message) => Effect.sync(() => void wrong.set(source, message))
  const updates = Stream.tap(events.of(place, tell), (event) =>
    Effect.suspend(() => {
      wrong.delete(event.source)
      what.learn(event)
      return unlessRefused(place, what.refused())
    })
  )
  return Stream.runForEach(Stream.merge(updates, Stream.tick("1 second")), () => frame).pipe(
    // A line of log would be in the way, and says nothing else.
    Effect.provideService(References.MinimumLogLevel, "Error")
  )
}

// What has no room on the terminal is counted.
const cut = (lines: ReadonlyArray<string>, room: number): ReadonlyArray<string> =>
  lines.length <= room ? lines : [...lines.slice(0, room - 1), `and ${lines.length - room + 1} more`]

/** Prints each lock as it is, and again whenever more of it changes than its expiry. It expires by itself, so time is looked at, too. */
const print = (given: Given, place: look.Place) => {
  const what = known.make(place)
  const printed = new Map<string, string>()
  const wrong = new Map<number, string>()
  const refused = new Set<string>()
  let hasHeading = false
  // A server that stays away is told of once.
  const tell: events.Tell = (source, message) =>
    Effect.suspend(() => {
      if (wrong.get(source) === message) return Effect.void
      wrong.set(source, message)
      return say(message)
    })
  const tellRefused = Effect.suspend(() => {
    const news = what.refused().filter(({ object }) => !refused.has(object))
    for (const { object } of news) refused.add(object)
    return Effect.forEach(news, ({ message }) => say(message), { discard: true })
  })
  return Stream.runForEach(Stream.merge(events.of(place, tell), Stream.tick("1 second")), (event) =>
    Effect.gen(function* () {
      if (event) wrong.delete(event.source)
      const now = yield* place.time
      const changes = event ? what.learn(event) : what.objects
      yield* unlessRefused(place, what.refused())
      yield* tellRefused
      const light = { key: place.key, now, sessions: what.sessions }
      const news: Array<view.View> = []
      for (const [key, one] of changes) {
        if (!place.isWanted(one) && !printed.has(key)) continue
        if (!one.isGone && what.isPending(one)) continue
        const seen = one.isGone ? view.gone(one) : view.of(one, light)
        const essence = JSON.stringify(seen, (name, value: unknown) => (name === "expires" ? undefined : value))
        if (printed.get(key) === essence) continue
        printed.set(key, essence)
        news.push(seen)
      }
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
