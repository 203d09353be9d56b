/** The command line of the load tester. */
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { existsSync } from "node:fs"
import { dirname, resolve } from "node:path"
import * as clusterFlags from "../../tools/clusterFlags.ts"
import { toggle, whole } from "../../tools/flags.ts"
import { connection, duration, type Values } from "../harness/flags.ts"
import { LoadError } from "../harness/loadError.ts"
import { kinds } from "./figures.ts"
import { protocols, type Settings } from "./loadTest.ts"

const percent = (text: string): Option.Option<number> =>
  /^\d+(\.\d+)?%$/.test(text) ? Option.some(Number(text.slice(0, -1)) / 100) : Option.none()

/** The flags. */
export const flags = {
  duration: duration(
    "duration",
    [Duration.millis(1), Duration.days(1)],
    'How long the contest lasts: 500ms, 10s, 2m, or "10 seconds"; with --compare, for each protocol (default 10s)'
  ).pipe(Flag.withDefault(Duration.seconds(10))),
  threads: whole("threads", [1, 64], "Threads, each with its own connections (default 4)").pipe(Flag.withDefault(4)),
  fibers: whole("fibers", [1, 1024], "Contending fibers in each thread (default 8)").pipe(Flag.withDefault(8)),
  hold: duration("hold", [Duration.zero, Duration.days(1)], "How long the lock is held each time (default 0ms)").pipe(
    Flag.withDefault(Duration.zero)
  ),
  ids: whole("ids", [1, 1000], "How many objects there are to lock (default 1)").pipe(Flag.withDefault(1)),
  kind: Flag.Literals("kind", kinds).pipe(
    Flag.withDefault("lock" as const),
    Flag.withDescription(
      "What they contend for: an exclusive lock, permits, or a lock that readers share (default lock)"
    )
  ),
  limit: whole("limit", [1, 999_999_999], "With --kind semaphore: how many permits there are (default 4)").pipe(
    Flag.optional
  ),
  writers: Flag.String("writers").pipe(
    Flag.filterMap(
      (text) => Option.filter(percent(text), (share) => share <= 1),
      () => "a share from 0% to 100%, such as 10%"
    ),
    Flag.withMetavar("SHARE"),
    Flag.withDescription("With --kind shared: how often a contender wants to write rather than to read (default 10%)"),
    Flag.optional
  ),
  protocol: Flag.Literals("protocol", protocols).pipe(
    Flag.withDefault("kubelock" as const),
    Flag.withDescription("Whose lock: kubelock's, or Dex's own as a baseline (default kubelock)")
  ),
  compare: toggle(
    "compare",
    "Run both protocols in turns, after both have warmed up, and show the ratio of kubelock to Dex"
  ),
  seed: whole(
    "seed",
    [0, 2 ** 31 - 1],
    "Decides what is chosen at random, such as which object is locked next; it is shown with the figures (default: any)"
  ).pipe(Flag.optional),
  json: toggle("json", "Print the figures as one JSON object, the last line of standard output"),
  report: Flag.String("report").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Also write a page to this file: who held the lock when, and the figures as charts"),
    Flag.optional
  ),
  ...clusterFlags.flags,
  resource: Flag.String("resource").pipe(
    Flag.withDefault("refreshtokens"),
    Flag.withMetavar("KIND"),
    Flag.withDescription(
      "What is locked: refreshtokens, configmaps, secrets, or any PLURAL.VERSION.GROUP (default refreshtokens)"
    )
  )
}

/** The values of the flags. */
export type Given = Values<typeof flags>

/** The settings that the flags mean. */
export const toSettings = Effect.fnUntraced(function* (given: Given): Effect.fn.Return<Settings, LoadError> {
  const { compare, context, duration, hold, kubeconfig, namespace, protocol, report, resource, seed, ...rest } = given
  const { kind, limit, writers } = given
  const problem = misfit(given) ?? noFolder(given)
  if (problem !== undefined) return yield* new LoadError({ message: problem })
  return {
    ...rest,
    limit: kind === "semaphore" ? Option.getOrElse(limit, () => 4) : null,
    writers: kind === "shared" ? Option.getOrElse(writers, () => 0.1) : null,
    seconds: Duration.toSeconds(duration),
    reportFile: Option.getOrUndefined(report),
    holdMillis: Duration.toMillis(hold),
    protocols: compare ? protocols : [protocol],
    seed: Option.getOrElse(seed, () => crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1),
    target: {
      kubeconfig: yield* connection({ kubeconfig, context }),
      namespace: Option.getOrUndefined(namespace),
      resource
    }
  }
})

// A page that cannot be written is no surprise for the end of a long test.
const noFolder = ({ report }: Given): string | undefined => {
  if (Option.isNone(report)) return undefined
  const folder = dirname(resolve(report.value))
  return existsSync(folder) ? undefined : `--report: there is no folder ${folder}`
}

const misfit = ({ compare, kind, limit, protocol, writers }: Given): string | undefined => {
  if (Option.isSome(limit) && kind !== "semaphore")
    return "--limit needs --kind semaphore: only a semaphore has a limit"
  if (Option.isSome(writers) && kind !== "shared")
    return "--writers needs --kind shared: only a shared lock has readers"
  if (kind !== "lock" && (compare || protocol === "dex")) {
    return `Dex has no --kind ${kind}: leave out ${compare ? "--compare" : "--protocol dex"}, or use --kind lock`
  }
  return undefined
}

/** Examples for the help. */
export const examples = [
  { command: "npm start", description: "32 fibers in 4 threads contend for one RefreshToken of an embedded server" },
  { command: "npm start -- --compare --hold 5ms", description: "kubelock and Dex in turns" },
  { command: "npm start -- --compare --report load.html", description: "The same, and a page with charts" },
  {
    command: "npm start -- --kind semaphore --limit 4 --hold 20ms",
    description: "They share the permits of a semaphore"
  },
  { command: "npm start -- --kind shared --writers 10% --hold 20ms", description: "Readers and writers" },
  {
    command: "npm start -- --kubeconfig --context staging --namespace dex --duration 1m",
    description: "On a cluster; what is made there is deleted at the end"
  },
  { command: "npm start -- --resource leases.v1.coordination.k8s.io --kubeconfig", description: "On Leases" }
]
