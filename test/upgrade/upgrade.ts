/**
 * A rolling upgrade: processes of the last released version and of this one contend for locks of each kind. Both are installed
 * from their packages, as users have them, or linked to their sources, which is quicker.
 *
 * `released` names the commit of that version. The environment variable `KUBELOCK_UPGRADE_FROM` names another one.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { broken } from "../chaos/crew.ts"
import { Ledger } from "../chaos/ledger.ts"
import * as settings from "../chaos/settings.ts"
import { now } from "../chaos/testimony.ts"
import * as Witness from "../chaos/witness.ts"
import * as Daemon from "../../src/testing/envtest/Daemon.ts"
import type { EnvtestError } from "../../src/testing/envtest/EnvtestError.ts"
import * as Envtest from "../../src/testing/envtest/Envtest.ts"
import * as Guard from "../../src/testing/envtest/Guard.ts"
import type * as Site from "../../src/testing/envtest/Site.ts"
import { hasCommit, install, link, type LinkedProject } from "../utils/installedPackage.ts"

/** The commit of the last released version. */
export const released =
  process.env["KUBELOCK_UPGRADE_FROM"] ?? readFileSync(join(import.meta.dirname, "released"), "utf8").trim()

/** Why there is no such version here, or nothing if there is. */
export const problem = (await hasCommit(released)) ? undefined : `this clone has no commit ${released}`

/** How often the turns must have changed from one version to the other before a run ends. */
const changes = 3

/**
 * - `seconds`: how long both versions go on after each kind of lock has shown what it must.
 * - `packed`: whether they run from their packages.
 * - `hurries`: whether stays are short, so that a run takes less time: those of a version as soon as it has kept what it has for longer than
 *   the TTL, and until then all of them are long. The version before hurries with the lock under a session until its
 *   holder was killed.
 * - `site`: servers that run already.
 */
export interface Options {
  readonly seconds: number
  readonly seed: number
  readonly packed: boolean
  readonly hurries: boolean
  readonly site?: Pick<Site.Site, "kubeConfig" | "request"> | undefined
}

const project = (packed: boolean, commit?: string): Effect.Effect<LinkedProject, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => (packed ? install(commit) : link(commit))),
    (project) => Effect.sync(() => project.remove())
  )

/** The program in a project, where `kubelock` is the version that the project has. */
const programIn = ({ folder, write }: LinkedProject): string => {
  const source = readFileSync(join(import.meta.dirname, "contender.ts"), "utf8")
  write("contender.ts", source.replaceAll('from "../', `from "${join(import.meta.dirname, "..")}/`))
  return join(folder, "contender.ts")
}

const kinds = ["configMap", "dex", "election", "once", "refresh", "semaphore", "session", "shared"] as const
const limits: Readonly<Record<string, number>> = settings.limits

const play = Effect.fnUntraced(function* ({ hurries, packed, seconds, seed, site }: Options) {
  const [api, before, after] = yield* Effect.all(
    [
      site === undefined ? Envtest.start({ server: "kube-apiserver", fsync: false }) : Effect.succeed(site),
      project(packed, released),
      project(packed)
    ],
    { concurrency: "unbounded" }
  )
  const token = { apiVersion: "dex.coreos.com/v1", kind: "RefreshToken", metadata: { name: "upgrade" } }
  yield* Effect.orDie(api.request("POST", "/apis/dex.coreos.com/v1/namespaces/dex/refreshtokens", token))
  const witnesses = Object.fromEntries(
    yield* Effect.forEach(kinds, (kind) =>
      Effect.map(Witness.make("127.0.0.1", new Ledger(limits[kind])), (witness) => [kind, witness] as const)
    )
  )
  const urlsOf = (kinds: ReadonlyArray<string>) => Object.fromEntries(kinds.map((kind) => [kind, witnesses[kind]!.url]))
  const guard = yield* Guard.make(before.folder)
  const kubeconfig = join(after.folder, "kubeconfig")
  writeFileSync(kubeconfig, api.kubeConfig, { mode: 0o600 })

  // Who is killed under a session contends for nothing else, so that the others go on.
  const others = kinds.filter((kind) => kind !== "session")
  const processes = yield* Effect.forEach(
    [
      ["before-1", before, kinds],
      ["after-1", after, others],
      ["before-2", before, kinds],
      ["after-2", after, others],
      [underSession, after, ["session"]]
    ] as const,
    ([name, its, wanted], place) =>
      Daemon.make({
        name,
        command: process.execPath,
        args: [
          ...(packed ? [] : ["--conditions=kubelock-source"]),
          programIn(its),
          name,
          kubeconfig,
          JSON.stringify(urlsOf(wanted)),
          String(10 * seed + place),
          String(hurries ? 1 : settings.longStays)
        ],
        guard
      })
  )
  const hurryOnceRenewed = (witness: Witness.Witness) =>
    hurries ? witness.hurry((name) => hasRenewed(witness, versionOf(name))) : Effect.void
  yield* Effect.forEach(Object.values(witnesses), hurryOnceRenewed, { discard: true })
  const session = witnesses["session"]!
  // Whoever is to be killed under a session gets it soon.
  if (hurries) yield* session.hurry((name) => versionOf(name) === "before")
  yield* Effect.forEach(processes, ({ start }) => start, { concurrency: "unbounded", discard: true })
  const isUnderSession = Effect.map(
    Effect.orDie(api.request("GET", "/api/v1/namespaces/dex/configmaps/upgrade-session")),
    ({ body }) => /\/kubelock-session-/.test(body.metadata?.annotations?.["kubelock.dev/lock-holder"] ?? "")
  )
  const deaths = yield* die({ isUnderSession, ledger: session.ledger, process: processes.at(-1)! })
  yield* hurryOnceRenewed(session)
  const isComplete = () => kinds.every((kind) => lacks(witnesses[kind]!) === undefined)
  yield* Effect.sleep("50 millis").pipe(
    Effect.repeat({ until: isComplete }),
    Effect.timeout("10 minutes"),
    Effect.option
  )
  yield* Effect.sleep(seconds * 1000)
  yield* Effect.forEach(processes, ({ stop }) => stop("SIGTERM"), { concurrency: "unbounded", discard: true })
  const logs = yield* Effect.forEach(processes, ({ log }) => log)
  return { witnesses, deaths, logs: logs.join("\n") }
}, Effect.provide(NodeServices.layer))

/**
 * What became of a lock under a session whose process was killed. `taken`: a process of the version before, which knows no sessions, took it.
 * `resumed`: how long it took from the start of another process of this version until both versions had had it, in milliseconds; `undefined`
 * if they did not.
 */
export interface Deaths {
  readonly taken: boolean
  readonly resumed: number | undefined
}

/** The process that contends for the lock under a session. */
const underSession = "after-under-session"

// Longer than the lease of a lock without a session lasts, and the uncertainty about it.
const abandoned = settings.takeOver

const die = Effect.fnUntraced(function* ({
  isUnderSession,
  ledger,
  process: { start, stop }
}: {
  readonly isUnderSession: Effect.Effect<boolean>
  readonly ledger: Witness.Witness["ledger"]
  readonly process: Daemon.Daemon
}): Effect.fn.Return<Deaths, EnvtestError> {
  const enteredSince = (since: number, version: Version) =>
    [...ledger.lastServed].some(([name, at]) => versionOf(name) === version && at > since)

  for (;;) {
    yield* Effect.sleep("20 millis").pipe(Effect.andThen(isUnderSession), Effect.repeat({ until: (is) => is }))
    yield* stop("SIGKILL")
    ledger.crashed(underSession, now())
    if (yield* isUnderSession) break
    yield* start
  }
  yield* Effect.sleep("1 second")
  const dead = now()
  yield* Effect.sleep(abandoned)
  const taken = enteredSince(dead, "before")
  const started = now()
  yield* start
  const isBack = yield* Effect.sleep("10 millis").pipe(
    Effect.repeat({ until: () => enteredSince(started, "before") && enteredSince(started, "after") }),
    Effect.timeoutOption("2 minutes")
  )
  return { taken, resumed: Option.isSome(isBack) ? now() - started : undefined }
})

const versions = ["before", "after"] as const
type Version = (typeof versions)[number]

const versionOf = (name: string): Version => (name.startsWith("before") ? "before" : "after")

/** What the processes of the version before did, and those of this one. */
const partsOf = ({ ledger, provider }: Witness.Witness) => {
  const names = [...ledger.findings.stays.map(({ name }) => name), ...provider.spenders]
  return versions.map((version) => names.filter((name) => versionOf(name) === version))
}

/** Whether a process of this version kept what it had for longer than the TTL. */
const hasRenewed = ({ ledger }: Witness.Witness, version: Version): boolean =>
  ledger.findings.stays.some(
    ({ entered, lastWrite, name }) => versionOf(name) === version && lastWrite - entered > settings.ttl
  )

/** What a kind has not shown yet. Of a value that is refreshed, or work that is done once, any process may take all turns. */
const lacks = (witness: Witness.Witness): string | undefined => {
  const turns = partsOf(witness).map(({ length }) => length)
  const order = witness.ledger.findings.stays.map(({ name }) => versionOf(name))
  if (order.length === 0) return turns.every((count) => count === 0) ? "no turns" : undefined
  const seen = order.filter((version, index) => index > 0 && version !== order[index - 1]).length
  return seen >= changes ? undefined : `the versions changed only ${seen} times in ${turns.join(" and ")} turns`
}

/** What a run did: the turns of each version, and the broken promises, one sentence each. */
export interface Upgrade {
  readonly deaths: Deaths
  readonly turns: Readonly<Record<string, ReadonlyArray<number>>>
  readonly problems: ReadonlyArray<string>
  readonly logs: string
}

/** Both versions contend until each kind has shown what it must. */
export const run = (options: Options): Effect.Effect<Upgrade, EnvtestError, Scope.Scope> =>
  Effect.map(play(options), ({ deaths, logs, witnesses }) => ({
    deaths,
    turns: Object.fromEntries(
      kinds.map((kind) => [kind, partsOf(witnesses[kind]!).map(({ length }) => length)] as const)
    ),
    problems: [
      ...(deaths.taken ? ["session: the version before took a lock from a session that nobody had fenced"] : []),
      ...(deaths.resumed === undefined ? ["session: not both versions had the lock again"] : []),
      ...kinds.flatMap((kind) => {
        const witness = witnesses[kind]!
        const { ledger, provider } = witness
        const lacking = lacks(witness)
        return [
          ...(lacking === undefined ? [] : [lacking]),
          ...broken(ledger.findings),
          ...provider.reuses.map(({ first, generation, second }) => `${first} and ${second} both spent ${generation}`)
        ].map((sentence) => `${kind}: ${sentence}`)
      })
    ],
    logs
  }))
