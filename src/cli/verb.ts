/** How a verb is made. */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"

/** A verb with these flags. What it does is loaded when it runs. */
export const verb = <Name extends string, const Flags extends Command.Command.Config, E, R>(
  name: Name,
  flags: Flags,
  load: () => Promise<(given: Command.Command.Config.Infer<Flags>) => Effect.Effect<void, E, R>>
) => Command.make(name, flags, (given) => Effect.flatMap(Effect.promise(load), (run) => run(given)))
