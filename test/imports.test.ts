/**
 * Imports run one way: a wing imports only the wings that its entry names, and an entry names only wings above it.
 *
 * The linter cannot state this in one place: `no-restricted-imports` compares the text of a specifier, and each override
 * replaces the whole rule. It does reject cycles, also cycles of types (`import/no-cycle`).
 */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { root } from "./utils/publicModules.ts"

interface Wing {
  /** Files, or folders with a slash at the end. The longest match decides. */
  readonly files: ReadonlyArray<string>
  readonly imports: ReadonlyArray<string>
}

const port = ["time", "version", "precondition", "settings", "subject", "port"]
const lock = [...port, "protocol", "engine", "memory"]
const kubernetes = [...port, "tracing", "boundedMap", "kubernetes"]
const library = [
  "boundedMap",
  "index",
  "testing",
  "testing/TestLock",
  "testing/index",
  "testing/peers",
  "Shutdown",
  ...lock,
  "AnyId",
  "guarded",
  "Lock",
  "Semaphore",
  "Several",
  "Once",
  "election",
  "session",
  "LeaderElection",
  ...kubernetes,
  "client",
  "store",
  "refresh",
  "RefreshOnce",
  "runners",
  "KubernetesRunnerStorage",
  "SessionThread"
]

const wings: Readonly<Record<string, Wing>> = {
  tracing: { files: ["src/internal/tracing.ts"], imports: [] },
  version: { files: ["src/internal/version.ts"], imports: [] },
  precondition: { files: ["src/internal/precondition.ts"], imports: [] },
  subject: { files: ["src/internal/subject.ts"], imports: [] },
  boundedMap: { files: ["src/internal/boundedMap.ts"], imports: [] },
  time: { files: ["src/internal/time/"], imports: [] },
  settings: { files: ["src/internal/settings.ts"], imports: ["time"] },
  port: {
    files: [
      "src/Handle.ts",
      "src/Held.ts",
      "src/LockError.ts",
      "src/LockKind.ts",
      "src/LockMetrics.ts",
      "src/LockPolicy.ts",
      "src/LockProtocol.ts",
      "src/LockQueue.ts",
      "src/LockRecord.ts",
      "src/PermitProtocol.ts",
      "src/PermitRecord.ts",
      "src/internal/permitWaking.ts",
      "src/ObjectStore.ts",
      "src/Resource.ts"
    ],
    imports: ["time", "version", "settings", "subject"]
  },
  guarded: { files: ["src/internal/acquireAll.ts", "src/internal/guarded.ts"], imports: ["port"] },
  election: {
    files: ["src/internal/election/", "src/ElectionMetrics.ts", "src/ElectionTiming.ts"],
    imports: [...port, "boundedMap"]
  },
  AnyId: { files: ["src/AnyId.ts"], imports: port },
  memory: { files: ["src/ObjectStoreMemory.ts"], imports: port },
  protocol: { files: ["src/internal/protocol/"], imports: port },
  engine: { files: ["src/internal/engine/"], imports: [...port, "protocol", "tracing", "boundedMap"] },
  session: {
    files: ["src/internal/session/"],
    imports: [...port, "protocol", "engine", "tracing", "boundedMap", "election"]
  },
  Lock: { files: ["src/Lock.ts"], imports: [...lock, "guarded", "election", "session"] },
  Semaphore: {
    files: ["src/Semaphore.ts", "src/SharedLock.ts", "src/internal/permitLines.ts"],
    imports: [...lock, "guarded", "election", "Lock"]
  },
  Several: { files: ["src/Several.ts"], imports: ["port", "guarded", "Lock", "Semaphore"] },
  Once: { files: ["src/Once.ts", "src/OnceMetrics.ts"], imports: [...lock, "tracing", "Lock"] },
  kubernetes: { files: ["src/internal/kubernetes/"], imports: [...port, "tracing", "boundedMap", "election"] },
  client: { files: ["src/KubernetesClient.ts"], imports: kubernetes },
  store: { files: ["src/ObjectStoreKubernetes.ts"], imports: [...kubernetes, "client"] },
  LeaderElection: {
    files: ["src/LeaderElection.ts"],
    imports: [...lock, "tracing", "Lock", "election", "client", "store"]
  },
  refresh: {
    files: ["src/internal/refresh/", "src/RefreshError.ts", "src/RefreshMetrics.ts"],
    imports: [...lock, "boundedMap", "tracing", "Lock"]
  },
  RefreshOnce: { files: ["src/RefreshOnce.ts"], imports: [...port, "tracing", "Lock", "refresh", "client", "store"] },
  runners: {
    files: ["src/internal/runners/"],
    imports: [...port, "tracing", "boundedMap", "AnyId", "session"]
  },
  KubernetesRunnerStorage: {
    files: ["src/KubernetesRunnerStorage.ts"],
    imports: [...port, "memory", "client", "store", "runners"]
  },
  SessionThread: {
    files: ["src/SessionThread.ts", "src/internal/sessionThread/"],
    imports: [...port, "protocol", "engine", "tracing", "session", "client", "store"]
  },
  Shutdown: { files: ["src/Shutdown.ts"], imports: [] },
  index: {
    files: ["src/index.ts"],
    imports: [
      ...port,
      "AnyId",
      "memory",
      "Lock",
      "Semaphore",
      "Several",
      "Once",
      "election",
      "LeaderElection",
      "client",
      "store",
      "refresh",
      "RefreshOnce",
      "Shutdown"
    ]
  },
  testing: { files: ["src/testing/"], imports: ["port"] },
  "testing/TestLock": {
    files: ["src/testing/TestLock.ts"],
    imports: [...port, "testing", "Lock", "client", "store"]
  },
  "testing/index": { files: ["src/testing/index.ts"], imports: ["testing", "testing/TestLock"] },
  "testing/peers": { files: ["src/testing/clientGo/", "src/testing/dex/"], imports: [...kubernetes, "client"] },
  cli: { files: ["src/cli/"], imports: library },
  tools: { files: ["tools/"], imports: ["cli"] },
  bench: { files: ["bench/"], imports: [...library, "cli", "tools"] },
  test: { files: ["test/"], imports: [...library, "cli", "tools"] },
  site: { files: ["tools/site/"], imports: [...library, "tools", "test"] }
}

const names = Object.keys(wings)

const wingOf = (file: string): string => {
  const matches = names.flatMap((wing) =>
    wings[wing]!.files.filter((one) => matchesPath(one, file)).map((one) => ({ wing, one }))
  )
  assert.isNotEmpty(matches, `${file} belongs to no wing: add it to the table in test/imports.test.ts`)
  return matches.toSorted((a, b) => b.one.length - a.one.length)[0]!.wing
}

const matchesPath = (pattern: string, file: string): boolean =>
  pattern.endsWith("/") ? file.startsWith(pattern) : file === pattern

const imports = ["src", "tools", "bench", "test"]
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) => join(folder, name))
  )
  .filter((file) => file.endsWith(".ts"))
  .flatMap((file) =>
    [...readFileSync(join(root, file), "utf8").matchAll(/\b(?:from|import)\s*\(?\s*"(\.[^"]*)"/g)].map(
      ([, target]) => ({
        file,
        target: relative(root, join(root, dirname(file), target!))
      })
    )
  )

const isAllowed = (file: string, target: string): boolean => {
  const [from, to] = [wingOf(file), wingOf(target)]
  return from === to || wings[from]!.imports.includes(to)
}

describe("imports", () => {
  it("have a table in which every wing imports only wings above it", () => {
    for (const [index, name] of names.entries()) {
      for (const other of wings[name]!.imports) assert.include(names.slice(0, index), other, `${name} imports ${other}`)
    }
  })

  it("run one way", () => {
    assert.isAbove(imports.length, 100)
    assert.deepStrictEqual(
      imports.filter(({ file, target }) => !isAllowed(file, target)).map(({ file, target }) => `${file} -> ${target}`),
      []
    )
  })
})
