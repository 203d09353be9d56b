/** `kubelock acquire`, `kubelock renew` and `kubelock release`: their flags and their help. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import { exitCodes } from "../exitCodes.ts"
import { duration, ttl as ttlFlag } from "../flags.ts"
import { foreground } from "../run/command.ts"
import { program, resource } from "../target.ts"
import { verb } from "../verb.ts"
import * as waiting from "../waiting.ts"
import * as handle from "./handle.ts"

const ttl = ttlFlag("How long the lock lasts from now on, unless it is renewed or released (default 15m)").pipe(
  Flag.withDefault(Duration.minutes(15))
)

const handleArgument = Argument.String("handle").pipe(
  Argument.withDescription(`What \`${program} acquire\` printed`),
  Argument.filterMap(handle.parse, () => "a handle, as acquire printed it")
)

const acquireFlags = {
  name: Argument.String("name").pipe(Argument.withDescription("The lock: the name of the object that it is kept on")),
  ttl,
  ...waiting.flags,
  output: Flag.Literals("output", ["handle", "json"]).pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("FORMAT"),
    Flag.withDescription("The format: the handle alone (default), or also the fencing token and the expiry"),
    Flag.withDefault("handle")
  ),
  resource
}

const renewFlags = {
  handle: handleArgument,
  command: Argument.String("command").pipe(
    Argument.withDescription("A command and its arguments, after --. The lock is renewed for as long as it runs"),
    Argument.variadic()
  ),
  ttl,
  grace: duration(
    "grace",
    "How long the command has between SIGTERM and SIGKILL if the lock is lost (default 5s, at most a quarter of the TTL)"
  ).pipe(Flag.optional),
  foreground
}

const releaseFlags = { handle: handleArgument }

/** What was asked for. */
export type AcquireGiven = Command.Command.Config.Infer<typeof acquireFlags>

/** What was asked for. */
export type RenewGiven = Command.Command.Config.Infer<typeof renewFlags>

/** What was asked for. */
export type ReleaseGiven = Command.Command.Config.Infer<typeof releaseFlags>

const codes = (lost: string) => `EXIT CODES
  ${exitCodes.usage}   the invocation makes no sense
  ${exitCodes.api}   the API server cannot be reached, or refuses
  ${lost}`

/** The verb that acquires. */
export const acquire = verb("acquire", acquireFlags, () => import("./fixed.ts").then(({ acquire }) => acquire)).pipe(
  Command.withShortDescription("Acquires a lock for a fixed time, and prints its handle"),
  Command.withDescription(
    `Acquires a lock for a fixed time, and prints its handle, for a pipeline whose steps are processes of their own. Nothing renews it but \`${program} renew\`. If a command can hold the lock instead, use \`${program} run\`: it notices a loss. Only plain locks have handles: permits and shared locks need \`${program} run\`.

${codes(`${exitCodes.notHad}   the lock was not had in time (--conflict-exit-code)`)}`
  ),
  Command.withExamples([
    { command: `HANDLE=$(${program} acquire pipeline --ttl 15m)`, description: "In the first step" },
    { command: `${program} acquire pipeline-2 -o json`, description: "With the fencing token, for what can check it" }
  ])
)

/** The verb that renews. */
export const renew = verb("renew", renewFlags, () => import("./fixed.ts").then(({ renew }) => renew)).pipe(
  Command.withShortDescription("Renews an acquired lock, once or while a command runs"),
  Command.withDescription(
    `Renews a lock that \`${program} acquire\` acquired. It never shortens it.

  With a command after --, it renews the lock for as long as the command runs, and ends as the command does. The lock stays as it is then. The command gets signals, standard input and the same environment as under \`${program} run\`. If the lock is lost, the command is ended.

${codes(`${exitCodes.lost}   the lock is lost: stop what it protects
  with a command, that of the command, as under \`${program} run\``)}`
  ),
  Command.withExamples([
    { command: `${program} renew "$HANDLE" --ttl 30m`, description: "Before a step that takes long" },
    { command: `${program} renew "$HANDLE" -- make deploy`, description: "While a step runs, however long it takes" }
  ])
)

/** The verb that releases. */
export const release = verb("release", releaseFlags, () => import("./fixed.ts").then(({ release }) => release)).pipe(
  Command.withShortDescription("Releases an acquired lock"),
  Command.withDescription(
    `Releases a lock that \`${program} acquire\` acquired, and no other hold of it. The next one that waits gets it.

${codes(`${exitCodes.lost}   the lock was lost before`)}`
  ),
  Command.withExamples([
    { command: `${program} release "$HANDLE"`, description: "In the last step, whatever happened" }
  ])
)
