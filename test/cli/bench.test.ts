/** `kubelock bench`, as the built program. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { prefix } from "../../src/cli/bench/harness/objects.ts"
import * as Resource from "../../src/Resource.ts"
import * as Kubelock from "../utils/kubelock.ts"

const kubelock = Kubelock.forTests()

// On a busy machine nothing may be acquired in a short time: a test that ends early is interrupted instead.
const bench = (...args: ReadonlyArray<string>) =>
  kubelock.run(["bench", "-z", "2s", "-c", "4", "--threads", "2", ...args])

describe("kubelock bench", () => {
  it("measures on the cluster of the kubeconfig, proves exclusion, and leaves nothing behind", async () => {
    const { code, stderr, stdout } = await bench("--seed", "7", "-n", "other")
    assert.strictEqual(code, 0, stderr)
    assert.match(stdout, /^2 threads of 2 fibers on 1 id; hold 0; target http:.*; seed 7$/m)
    assert.match(stdout, /^kubelock: 0 violations in [\d,]+ acquisitions: mutual exclusion held$/m)
    const objects = await Effect.runPromise(kubelock.server.list(Resource.configMap, "other"))
    assert.notInclude(JSON.stringify(objects), prefix)
  })

  it("ends with 99 if a threshold is missed, and lists which passed", async () => {
    const { code, stderr, stdout } = await bench("--threshold", "wait.p99<1d", "--threshold", "throughput>1000000000")
    assert.strictEqual(code, 99, stderr)
    assert.match(stdout, /^ok {6}wait\.p99<1d {12}[\d.]+ m?s$/m)
    assert.match(stdout, /^MISSED {2}throughput>1000000000 {2}[\d,.]+$/m)
    assert.match(stderr, /^kubelock: 1 threshold of 2 missed$/m)
  })

  it("prints JSON, with the thresholds, and writes the page", async () => {
    const { code, stderr, stdout } = await kubelock.run(
      "bench -z 2s -c 4 --threads 2 -o json --threshold errors==0 --report bench.html --compare".split(" ")
    )
    assert.strictEqual(code, 0, stderr)
    const { runs, thresholds } = JSON.parse(stdout)
    assert.deepStrictEqual(
      runs.map(({ protocol, violations }: Record<string, unknown>) => [protocol, violations]),
      [
        ["kubelock", 0],
        ["dex", 0]
      ]
    )
    // The bundle has a part of undici only. It announces requests all the same.
    for (const { requests } of runs) assert.isAbove(requests.get + requests.put + requests.patch, 2)
    assert.deepStrictEqual(thresholds, [{ threshold: "errors==0", value: 0, passed: true }])
    const page = readFileSync(join(kubelock.folder, "bench.html"), "utf8")
    assert.include(page, "Who held the lock when")
    assert.isAbove(page.length, 500_000)
    assert.isBelow(page.length, 1_000_000)
  })

  it("has permits and readers", async () => {
    const semaphore = await bench("--kind", "semaphore", "--limit", "2", "--hold", "5ms", "-o", "json")
    assert.include(JSON.parse(semaphore.stdout).runs[0], { kind: "semaphore", limit: 2, violations: 0 })
    const shared = await bench("--kind", "shared", "--writers", "20%", "--hold", "5ms")
    assert.match(shared.stdout, /the exclusion of writers held$/m)
  })

  it("ends with 1 if exclusion is broken: Dex does not renew its lock", async () => {
    const { code, stderr, stdout } = await kubelock.run(
      "bench --protocol dex -z 11s --hold 1m -c 2 --threads 2".split(" ")
    )
    assert.strictEqual(code, 1)
    assert.match(stdout, /mutual exclusion was BROKEN/)
    assert.match(stderr, /^kubelock: mutual exclusion was broken$/m)
  })

  it("prints what was measured when it is interrupted, and cleans up", async () => {
    const running = kubelock.start(["bench", "-z", "1h", "-c", "2"])
    await running.says("s  kubelock: ")
    running.process.kill("SIGINT")
    const { code, stdout } = await running.ended
    assert.strictEqual(code, 130)
    assert.match(stdout, /0 violations/)
    const objects = await Effect.runPromise(kubelock.server.list(Resource.configMap, "default"))
    assert.notInclude(JSON.stringify(objects), prefix)
  })

  it.each([
    ["--threshold wait<5ms", 64, /--threshold: "wait<5ms"\. Expected: one of the figures wait\.p50, /],
    ["-c 7 --threads 2", 64, /--contenders 7 cannot be divided evenly among 2 threads: use 8, or --threads 1$/m],
    ["--limit 4", 64, /--limit needs --kind semaphore/],
    ["--report /does/not/exist.html", 64, /--report: there is no folder/],
    ["-z soon", 64, /such as 500ms, 10s/],
    ["-z 0", 64, /a duration from 1ms to 1d/],
    ["-n Not_A_Name", 64, /Not_A_Name/],
    ["--kubeconfig /does/not/exist", 69, /Cannot use the kubeconfig/],
    ["-n missing", 69, /namespace missing/]
  ] as const)("says in one line what is wrong with %s", async (args, code, message) => {
    const ended = await kubelock.run(["bench", ...args.split(" ")])
    assert.strictEqual(ended.code, code, ended.stderr)
    assert.strictEqual(ended.stdout, "")
    assert.match(ended.stderr, message)
    assert.strictEqual(ended.stderr.trimEnd().split("\n").length, 1)
  })
})
