/** `kubelock run`: its flags and its help. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { exitCodes } from "../exitCodes.ts"
import { duration, toggle, ttl, whole } from "../flags.ts"
import { namedResource, program } from "../target.ts"
import { verb } from "../verb.ts"
import * as waiting from "../waiting.ts"

const permits = [1, 999_999_999] as const

const timeOf = (text: string) => DateTime.make(/^@\d+$/.test(text) ? Number(text.slice(1)) * 1000 : text)

/** The flag for a command that needs the terminal. */
export const foreground = toggle(
  "foreground",
  "Let the command use the terminal; if the lock is lost, only the command itself is ended, not what it started"
)

const flags = {
  name: Argument.String("name").pipe(Argument.withDescription("The lock: the name of the object that it is kept on")),
  command: Argument.String("command").pipe(
    Argument.withDescription("The command and its arguments, after --. Without one, the lock is held until a signal"),
    Argument.variadic()
  ),
  script: Flag.String("command").pipe(
    Flag.withAlias("c"),
    Flag.withMetavar("STRING"),
    Flag.withDescription("Run this by /bin/sh, instead of a command after --"),
    Flag.optional
  ),
  ...waiting.flags,
  ttl: ttl(
    "How long the lock outlasts this program if it dies; while it lives, it renews the lock (default: KUBELOCK_TTL, or else 15s)",
    "KUBELOCK_TTL"
  ).pipe(Flag.withDefault(Duration.seconds(15))),
  grace: duration(
    "grace",
    "How long the command has between SIGTERM and SIGKILL if the lock is lost (default: a third of the TTL; at most two thirds)"
  ).pipe(Flag.optional),
  shared: toggle("shared", "Hold the lock together with others that say --shared"),
  exclusive: toggle("exclusive", "Hold alone a lock that others hold with --shared"),
  limit: whole("limit", permits, "Take permits of a semaphore that has N in all").pipe(Flag.optional),
  permits: whole("permits", permits, "How many permits to take, with --limit (default 1)").pipe(Flag.optional),
  lead: toggle(
    "lead",
    "Stand for election on a Lease, and run the command each time this program is elected, until the command ends by itself"
  ),
  once: Flag.String("once").pipe(
    Flag.withMetavar("TIME"),
    Flag.withDescription(
      "Run the command unless the run that was due at this time (2026-11-28T02:00:00Z, or @ and seconds since 1970) was completed"
    ),
    Flag.filterMap(timeOf, () => "a time such as 2026-11-28T02:00:00Z, or @ and seconds since 1970"),
    Flag.optional
  ),
  foreground,
  verbose: toggle("verbose", "Say on standard error what happens"),
  resource: namedResource
}

/** What was asked for. */
export type Given = Command.Command.Config.Infer<typeof flags>

const description = `Holds a lock while a command runs.

  The command gets the signals that ${program} gets, and its standard input. If the lock is lost, the command and all that it started get SIGTERM, and SIGKILL after a grace. Its environment has KUBELOCK_HELD, KUBELOCK_ID, KUBELOCK_HOLDER and KUBELOCK_FENCING_TOKEN, with --once also KUBELOCK_DUE and KUBELOCK_PREVIOUS.

EXIT CODES
  that of the command, or 128 and the number of the signal that ended it; otherwise:
  ${exitCodes.usage}   the invocation makes no sense
  ${exitCodes.api}   the API server cannot be reached, or refuses
  ${exitCodes.notHad}   the lock was not had in time (--conflict-exit-code)
  ${exitCodes.lost}   the lock was lost while the command ran
  ${exitCodes.notExecutable}  the command cannot be executed
  ${exitCodes.notFound}  the command was not found
  0    without a command, once a signal has ended the hold`

/** The verb. */
export const command = verb("run", flags, () => import("./run.ts").then(({ run }) => run)).pipe(
  Command.withShortDescription("Holds a lock while a command runs"),
  Command.withDescription(description),
  Command.withExamples([
    { command: `${program} run deploy -- make deploy`, description: "One deployment at a time" },
    { command: `${program} run deploy --timeout 30s -- make deploy`, description: "Wait for at most half a minute" },
    { command: `${program} run backup --nonblock -c 'pg_dump app | gzip > app.gz'`, description: "Do not wait for it" },
    { command: `${program} run crawler --limit 4 -- ./crawl`, description: "At most four at once" },
    {
      command: `${program} run catalog --shared -- ./read`,
      description: "As one of many readers; a writer says --exclusive"
    },
    {
      command: `${program} run report --once 2026-11-28T02:00:00Z -- ./report`,
      description: "Once for this time, in whichever replica comes first"
    },
    { command: `${program} run controller --lead -- ./controller`, description: "In the replica that is elected" }
  ])
)
