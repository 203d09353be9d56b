/** What `kubelock break` does: shows who holds a lock, asks, and takes it from that holder alone. */
import * as Prompt from "effect/cli/Prompt"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Ended, exitCodeOf, exitCodes, misused, silently } from "../exitCodes.ts"
import * as look from "../inspect/look.ts"
import * as table from "../inspect/table.ts"
import * as view from "../inspect/view.ts"
import { say } from "../program.ts"
import * as target from "../target.ts"
import type { Given } from "./command.ts"
import * as take from "./take.ts"

/** Breaks what was asked for. */
export const run = (given: Given) =>
  Effect.gen(function* () {
    const place = yield* look.placeOf({ ...given, name: Option.some(given.name), allNamespaces: false })
    const { found, light } = yield* look.now(place)
    const views = found.map((one) => ({ found: one, seen: view.of(one, light) }))
    const held = views.filter(({ seen }) => seen.state !== "Free" || seen.waiters.length > 0)
    const [first] = held
    if (first === undefined) return yield* say(`Nobody holds ${given.name} ${place.place}.`)
    if (held.length > 1) {
      const names = held.map(({ seen }) => `--resource ${seen.resource}`).join(" or ")
      return yield* misused(`there are several locks ${given.name} ${place.place}: give ${names}`)
    }
    const { seen } = first
    const whose = yield* chosen(given, seen)
    yield* Console.log(table.lines([seen], { namespaces: true, wide: true }, light.now.earliest).join("\n"))
    if (given.dryRun) return yield* say(`${nameOf(whose)} would lose ${given.name}. Nothing was broken.`)
    yield* confirmed(given, whose)
    if (
      yield* take.from(first.found, seen, whose, place.key).pipe(Effect.provide(target.store(first.found.resource)))
    ) {
      return yield* say(`${nameOf(whose)} has lost ${given.name}.`)
    }
    return yield* new Ended({
      code: exitCodes.notHad,
      message: `${nameOf(whose)} does not hold ${given.name} any more. Nothing was broken: look again.`
    })
  }).pipe(Effect.provide(target.client))

/** Whose lock is broken: the only holder, or the one that was named. */
const chosen = (given: Given, { holders, kind, state, waiters }: view.View): Effect.Effect<take.Whose, Ended> => {
  if (Option.isSome(given.holder)) {
    const named = given.holder.value
    const isThere = holders.some(({ holder }) => holder === named)
    if (isThere) return Effect.succeed({ holder: named })
    return waiters.includes(named) && (kind === "semaphore" || kind === "shared lock")
      ? Effect.succeed({ holder: named })
      : Effect.fail(
          misused(`${named} does not hold ${given.name}. Holders: ${holders.map(table.named).join(", ") || "none"}`)
        )
  }
  if (state === "Malformed") return Effect.succeed({ holder: undefined })
  const [only, ...others] = holders
  if (only === undefined) return Effect.fail(misused(`nobody holds ${given.name}; give --holder for one that waits`))
  return others.length === 0
    ? Effect.succeed({ holder: only.holder })
    : Effect.fail(
        misused(
          `${given.name} has ${holders.length} holders: name one with --holder. ${holders.map(table.named).join(", ")}`
        )
      )
}

const nameOf = ({ holder }: take.Whose): string => holder ?? "Its unnamed holder"

const confirmed = Effect.fnUntraced(function* (given: Given, whose: take.Whose) {
  if (given.yes) return
  const { canPrompt } = yield* TerminalCapabilities.TerminalCapabilities
  if (!canPrompt) return yield* misused("there is no terminal to ask at: give --yes")
  const isSure = yield* Prompt.run(
    Prompt.Confirm({ message: `Take ${given.name} from ${nameOf(whose)}?`, initial: false })
    // A prompt takes Ctrl-C as a key, and leaves the cursor behind the question.
  ).pipe(Effect.catchTag("QuitError", () => Effect.andThen(Console.log(), silently(exitCodeOf("SIGINT")))))
  if (!isSure) return yield* silently(1)
})
