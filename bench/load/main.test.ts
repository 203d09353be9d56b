import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("main.ts", import.meta.url))

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the load tester; sends a signal once standard error says so. */
const run = (
  args: ReadonlyArray<string>,
  interruptAt?: RegExp,
  signal: NodeJS.Signals = "SIGINT"
): Effect.Effect<Ended> =>
  Effect.callback((resume) => {
    const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] })
    let stdout = ""
    let stderr = ""
    let interrupted = false
    child.stdout.on("data", (chunk) => {
      stdout += String(chunk)
    })
    child.stderr.on("data", (chunk) => {
      stderr += String(chunk)
      if (interrupted || interruptAt?.test(stderr) !== true) return
      interrupted = true
      child.kill(signal)
    })
    child.on("close", (code) => resume(Effect.succeed({ code, stdout, stderr })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** A file for a page, which goes with the scope. */
const pageFile = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "kubelock-load-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  ),
  (folder) => join(folder, "page.html")
)

const lastLine = (text: string): string => text.trimEnd().split("\n").at(-1)!

describe("load tester", () => {
  it.live("proves exclusion and prints figures as JSON", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* run(["--duration", "2 seconds", "--threads", "2", "--json", "--seed", "7"])
      assert.strictEqual(code, 0)
      const { runs } = JSON.parse(lastLine(stdout))
      assert.strictEqual(runs.length, 1)
      const [{ acquisitions, durationMillis, requests, throughputPerSecond, waitMillis, ...rest }] = runs
      assert.include(rest, { protocol: "kubelock", target: "embedded", threads: 2, fibers: 8, ids: 1 })
      assert.include(rest, { violations: 0, timeouts: 0, errors: 0 })
      assert.isAbove(acquisitions, 10)
      assert.isAtLeast(durationMillis, 1900)
      assert.closeTo(throughputPerSecond, (acquisitions / durationMillis) * 1000, 1)
      assert.isAbove(requests.get, 0)
      assert.isAbove(requests.patch, 0)
      assert.strictEqual(requests.put, 0)
      assert.isAtMost(waitMillis.p50, waitMillis.p99)
      assert.isAtMost(waitMillis.p99, waitMillis.max)
    })
  )

  it.live("compares in a table and on a page, on several ids", () =>
    Effect.gen(function* () {
      const page = yield* pageFile
      const { code, stderr, stdout } = yield* run([
        ..."--compare --duration 3s --threads 2 --fibers 2 --ids 3 --hold 1ms --report".split(" "),
        page
      ])
      assert.strictEqual(code, 0)
      const html = readFileSync(page, "utf8")
      assert.include(html, "the lock, of the first of 3 objects")
      assert.match(html, /kubelock: 0 violations in [\d,]+ acquisitions: mutual exclusion held/)
      const charts = JSON.parse(/<script type="application\/json" id="charts">(.*?)<\/script>/.exec(html)![1]!)
      assert.sameMembers(Object.keys(charts), ["timeline", "throughput", "wait", "handoff", "requests", "fairness"])
      const turns = charts.timeline.spec.data[0].values as ReadonlyArray<readonly [row: number]>
      // A row for each thread of each side, and each of them had the lock.
      assert.deepStrictEqual([...new Set(turns.map(([row]) => row))].toSorted(), [0, 1, 2, 3])
      assert.match(stdout, /kubelock +dex +ratio/)
      assert.match(stdout, /kubelock: 0 violations in [\d,]+ acquisitions: mutual exclusion held/)
      assert.match(stdout, /dex: 0 violations in [\d,]+ acquisitions: mutual exclusion held/)
      assert.match(stderr, /s {2}kubelock: [\d,]+ acquisitions/)
    }).pipe(Effect.scoped)
  )

  it.live("does not count the warm-up: each protocol lasts as long as the flag says, and its counts agree", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* run("--compare --duration 2s --threads 1 --fibers 1 --json".split(" "))
      assert.strictEqual(code, 0)
      const { runs } = JSON.parse(lastLine(stdout))
      assert.deepStrictEqual(
        runs.map(({ protocol }: { readonly protocol: string }) => protocol),
        ["kubelock", "dex"]
      )
      for (const { acquisitions, durationMillis, requestsPerAcquisition } of runs) {
        assert.closeTo(durationMillis, 2000, 900)
        assert.isAbove(acquisitions, 10)
        assert.isBelow(requestsPerAcquisition, 4.5)
      }
    })
  )

  it.live(
    "ends with 1 if exclusion breaks, as Dex's does after ten seconds, and reports the time and the two contenders",
    () =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* run(
          "--protocol dex --duration 11s --hold 1m --threads 2 --fibers 1".split(" ")
        )
        assert.strictEqual(code, 1)
        assert.match(stdout, /dex: 1 violation in 2 acquisitions: mutual exclusion was BROKEN/)
        assert.match(stdout, /after (9|10)\.\d+ s: thread \d fiber 0 was in the .* together with thread \d fiber 0/)
        assert.strictEqual(lastLine(stderr), "error: mutual exclusion was broken")
      })
  )

  it.live("keeps exclusion in the same contest with kubelock", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* run("--duration 11s --hold 1m --threads 2 --fibers 1".split(" "))
      assert.strictEqual(code, 0)
      // On a busy machine the second contender may get the lock when the first is interrupted at the end.
      assert.match(stdout, /kubelock: 0 violations in [12] acquisitions?: mutual exclusion held/)
    })
  )

  it.live("prints the table so far when it is interrupted, writes the page, and ends with 130", () =>
    Effect.gen(function* () {
      const page = yield* pageFile
      const { code, stdout } = yield* run(
        ["--duration", "1h", "--threads", "2", "--report", page],
        /s {2}kubelock: [\d,]+ acquisitions/
      )
      assert.strictEqual(code, 130)
      assert.include(readFileSync(page, "utf8"), "Who held the lock when")
      assert.match(stdout, /0 violations in [\d,]+ acquisitions: mutual exclusion held/)
    }).pipe(Effect.scoped)
  )

  it.live("says that nothing was measured when it is interrupted before the measurement", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* run(
        ["--duration", "1h", "--threads", "2"],
        /kubelock: connecting|warming/
      )
      assert.deepStrictEqual([code, stdout], [130, ""])
      assert.strictEqual(lastLine(stderr), "Stopped before anything was measured.")
    })
  )

  it.live("ends with 143 on SIGTERM", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* run(
        ["--duration", "1h", "--threads", "1", "--fibers", "1"],
        /s {2}kubelock: [\d,]+ acquisition/,
        "SIGTERM"
      )
      assert.strictEqual(code, 143)
      assert.match(stdout, /^1 thread of 1 fiber on 1 id;/m)
    })
  )

  it.live("counts who has permits of a semaphore, and who reads and writes under a shared lock", () =>
    Effect.gen(function* () {
      const shared = yield* run(
        "--kind shared --writers 30% --duration 3s --threads 2 --fibers 3 --hold 5ms".split(" ")
      )
      assert.strictEqual(shared.code, 0, shared.stderr)
      assert.match(shared.stdout, /; a shared lock, 30.0 % writers; hold 5ms;/)
      assert.match(shared.stdout, /0 violations in .*, at most [1-6] inside at once: the exclusion of writers held/)
      const semaphore = yield* run(
        "--kind semaphore --limit 3 --duration 3s --threads 2 --fibers 3 --hold 5ms --json".split(" ")
      )
      assert.strictEqual(semaphore.code, 0, semaphore.stderr)
      const { runs } = JSON.parse(lastLine(semaphore.stdout))
      assert.include(runs[0], { kind: "semaphore", limit: 3, writers: null, violations: 0, errors: 0 })
      assert.isAtMost(runs[0].mostInside, 3)
    })
  )

  it.live("helps", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* run(["--help"])
      assert.strictEqual(code, 0)
      for (const flag of [
        "duration",
        "threads",
        "fibers",
        "hold",
        "ids",
        "kind",
        "limit",
        "writers",
        "protocol",
        "compare",
        "seed",
        "json",
        "report"
      ]) {
        assert.include(stdout, `--${flag}`)
      }
      assert.match(stdout, /--kubeconfig \[=FILE\] .*without FILE/)
    })
  )

  it.live.each([
    ["--threads 65", /--threads: "65"\. Expected: a whole number from 1 to 64/],
    ["--fibers 0", /--fibers/],
    ["--ids 1001", /--ids/],
    ["--duration 0", /--duration/],
    ["--duration soon", /such as 500ms, 10s, 1m30s or "10 seconds"/],
    ["--hold -1s", /--hold/],
    ["--protocol etcd", /"kubelock" \| "dex"/],
    ["--kind mutex", /"lock" \| "semaphore" \| "shared"/],
    ["--limit 4", /--limit needs --kind semaphore/],
    ["--kind semaphore --limit 0", /--limit/],
    ["--kind shared --writers 10", /a share from 0% to 100%, such as 10%/],
    ["--kind shared --writers 101%", /--writers/],
    ["--kind semaphore --compare", /leave out --compare, or use --kind lock/],
    ["--report /does/not/exist.html", /--report: there is no folder \/does\/not/],
    ["--bogus", /Unrecognized flag: --bogus/],
    ["--thread 2", /Unrecognized flag: --thread in .* Did you mean --threads\?/],
    ["--context staging", /--context needs --kubeconfig/],
    ["--kubeconfig /does/not/exist", /Cannot use the kubeconfig/],
    ["--resource widgets", /PLURAL\.VERSION\.GROUP/],
    ["--namespace Not_A_Name", /--namespace/]
  ] as const)("says in one line what is wrong with %s", ([args, message]) =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* run(args.split(" "))
      assert.strictEqual(code, 1)
      assert.strictEqual(stdout, "")
      assert.match(stderr, message)
      assert.strictEqual(stderr.trimEnd().split("\n").length, 1)
    })
  )
})
