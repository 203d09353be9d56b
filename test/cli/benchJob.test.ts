/** `kubelock bench --job` and `--collect`: the pods are processes, on the embedded API server. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Resource from "../../src/Resource.ts"
import * as benchJob from "../utils/benchJob.ts"
import * as Kubelock from "../utils/kubelock.ts"

const kubelock = Kubelock.forTests()

const put = (name: string, content: object) =>
  Effect.runPromise(kubelock.server.put(Resource.configMap, "default", { metadata: { name }, ...content }))

/** The rights that the requests to the server needed: verb, resource, and the name if RBAC can restrict it. */
const needed = async (): Promise<ReadonlyArray<string>> => {
  const requests = await Effect.runPromise(kubelock.server.requests)
  const rights = requests.map(({ method, path, query }) => {
    const [, group, resource, name] =
      /^\/apis?\/(?:([^/]*\.[^/]*)\/)?v[^/]*\/namespaces\/default\/([^/]*)(?:\/(.*))?$/.exec(path)!
    const what = [group, resource].filter((part) => part !== undefined).join("/")
    if (method === "POST") return `create ${what}`
    const verb = method === "PATCH" ? "patch" : query.has("watch") ? "watch" : "get"
    return `${verb} ${what} ${name ?? query.get("fieldSelector")?.replace("metadata.name=", "")}`
  })
  return [...new Set(rights)].toSorted()
}

const granted = (rules: ReadonlyArray<benchJob.Rule>): ReadonlyArray<string> =>
  rules
    .flatMap(({ apiGroups: [group = ""], resourceNames, resources: [resource], verbs }) => {
      const what = [group, resource].filter((part) => part !== "").join("/")
      return verbs.flatMap((verb) =>
        resourceNames === undefined ? [`${verb} ${what}`] : resourceNames.map((name) => `${verb} ${what} ${name}`)
      )
    })
    .toSorted()

describe("kubelock bench --job", () => {
  it.each([
    ["configmaps", []],
    ["leases.coordination.k8s.io", ["--kind", "shared", "--writers", "50%"]]
  ] as const)(
    "prints a Job whose pods need its Role and no more, on %s, and --collect merges what they leave",
    async (resource, flags) => {
      const name = `on-${resource.split(".")[0]}`
      const size = ["-z", "3s", "-c", "2", "--pods", "3"]
      const manifest = await benchJob.print(kubelock, ...size, "--name", name, "--resource", resource, ...flags)
      await Effect.runPromise(kubelock.server.clearRequests)
      const pods = await benchJob.run(kubelock, manifest, name)
      for (const { code, stderr } of pods) assert.strictEqual(code, 0, stderr)
      assert.deepStrictEqual(await needed(), granted(manifest.rules))

      const { code, stderr, stdout } = await kubelock.run(["bench", "--collect", name, "-o", "json"])
      assert.strictEqual(code, 0, stderr)
      const { pods: count, runs, witness } = JSON.parse(stdout)
      assert.strictEqual(count, 3)
      assert.include(runs[0], { threads: 6, fibers: 1, violations: 0, errors: 0 })
      assert.isAbove(runs[0].acquisitions, 0)
      assert.include(witness, { overlaps: 0, lostUpdates: 0, staleReads: 0, staleTokens: 0, unsure: 0 })
      assert.isAtLeast(witness.visits, runs[0].acquisitions)
      // All that pods made goes with the Job.
      const objects = [
        ...(await Effect.runPromise(kubelock.server.list(Resource.configMap, "default"))),
        ...(await Effect.runPromise(kubelock.server.list(Resource.lease, "default")))
      ].filter(({ metadata }) => metadata.name.startsWith(name))
      assert.lengthOf(objects, 6)
      for (const { metadata } of objects) {
        assert.deepInclude(metadata, {
          ownerReferences: [{ apiVersion: "batch/v1", kind: "Job", name, uid: name }]
        })
      }
    }
  )

  it("prints what kubectl can apply, in the namespace of the flag, and of one seed for all pods", async () => {
    const { args, objects, text } = await benchJob.print(kubelock, "-n", "other", "--kind", "semaphore", "--limit", "3")
    assert.deepStrictEqual(
      objects.map(({ kind, metadata }) => [kind, metadata.name, metadata.namespace]),
      ["ServiceAccount", "Role", "RoleBinding", "Job"].map((kind) => [kind, "kubelock-bench", "other"])
    )
    assert.match(args.join(" "), /--kind=semaphore --limit=3 --seed=\d+ --resource=configmaps$/)
    assert.notMatch(text, /[&*]a1/)
    const { text: own } = await benchJob.print(kubelock, "--image", "example.com/kubelock:1")
    assert.match(own, /image: example\.com\/kubelock:1\n {10}command:\n {12}- kubelock\n/)
  })

  it.each([
    ["--job --compare", /leave out --compare/],
    ["--job --report a.html", /--report/],
    ["--job --threshold errors==0", /--threshold belongs to --collect/],
    ["--job --collect a", /--job, --collect and --pod-of exclude each other/],
    ["--job --name Not_A_Name", /Not_A_Name/],
    ["--job -c 8192", /--contenders is 4096 at most in a pod/],
    [`--job --name ${"a".repeat(51)}`, /is too long: at most 50 characters/],
    ["--pod-of a", /JOB_COMPLETION_INDEX is not set/]
  ])("says in one line what is wrong with %s", async (args, message) => {
    const { code, stderr, stdout } = await kubelock.run(["bench", ...args.split(" ")])
    assert.deepStrictEqual([code, stdout], [64, ""])
    assert.match(stderr, message)
    assert.strictEqual(stderr.trimEnd().split("\n").length, 1)
  })
})

describe("a pod", () => {
  it("waits until the objects of an earlier Job are gone, and waits for the others", async () => {
    const manifest = await benchJob.print(kubelock, "-z", "1s", "-c", "1", "--pods", "2", "--name", "again")
    await put("again", { data: { job: "earlier", "stage-0.0": "there", "stage-0.1": "there" } })
    const first = benchJob.pod(kubelock, manifest, 0, "new")
    const isRefused = async () =>
      (await Effect.runPromise(kubelock.server.requests)).some(
        ({ method, path, status }) => method === "GET" && path.endsWith("/again") && status === 200
      )
    await Kubelock.until(isRefused)
    await Effect.runPromise(kubelock.server.remove(Resource.configMap, "default", "again"))
    const isThere = async () => {
      const found = await Effect.runPromise(kubelock.server.get(Resource.configMap, "default", "again"))
      return JSON.stringify(found).includes("stage-0.0")
    }
    await Kubelock.until(isThere)
    const { code, stderr } = await kubelock.run(["bench", "--collect", "again"])
    assert.strictEqual(code, 75)
    assert.match(stderr, /^kubelock: 0 of 2 pods have left a result: wait for the Job/)
    assert.match(stderr, /If it has failed.*\(kubectl logs --prefix -l job-name=again\)\n$/)
    const second = benchJob.pod(kubelock, manifest, 1, "new")
    assert.deepStrictEqual([(await first.ended).code, (await second.ended).code], [0, 0])
  })
})

describe("kubelock bench --collect", () => {
  it("judges thresholds on what all pods measured", async () => {
    await benchJob.leave(kubelock, "judged", "6", benchJob.result(), benchJob.result({ acquisitions: [3, 3] }))
    const args = ["bench", "--collect", "judged", "--threshold", "acquisitions>=9", "--threshold", "wait.p50<1ms"]
    const { code, stderr, stdout } = await kubelock.run(args)
    assert.strictEqual(code, 99, stderr)
    assert.match(stdout, /^2 pods of 1 thread of 2 fibers on 1 id; target https:\/\/10\.0\.0\.1$/m)
    assert.match(stdout, /^ok {6}acquisitions>=9 {2}9\.00$/m)
    assert.match(stdout, /^MISSED {2}wait\.p50<1ms {5}2\.00 ms$/m)
    assert.match(
      stdout,
      /^across 2 pods: a witness on the API server saw 6 visits, at most 1 inside at once; 0 overlaps/m
    )
  })

  it("ends with 1 if exclusion was broken across pods, and says between whom", async () => {
    const { seen } = benchJob.result().summary
    const incidents = [{ id: 0, who: "1.0", other: "0.1" }]
    await benchJob.leave(
      kubelock,
      "broken",
      "5",
      benchJob.result(),
      benchJob.result({ seen: { ...seen, overlaps: 1, incidents } })
    )
    const { code, stderr, stdout } = await kubelock.run(["bench", "--collect", "broken"])
    assert.deepStrictEqual([code, stderr], [1, "kubelock: mutual exclusion was broken\n"])
    assert.match(stdout, /1 violation in 6 acquisitions: mutual exclusion was BROKEN/)
    assert.match(stdout, /^1\.0 was in the critical section of id 0 together with 0\.1 \(pod\.contender\)$/m)
  })

  it("ends with 1 if a pod has not come to an end", async () => {
    const { seen } = benchJob.result().summary
    await benchJob.leave(kubelock, "unsure", "3", benchJob.result({ seen: { ...seen, unsure: 1 } }))
    const { code, stderr } = await kubelock.run(["bench", "--collect", "unsure"])
    assert.strictEqual(code, 1)
    assert.match(stderr, /^kubelock: exclusion is not proved: 1 visit did not/)
  })

  it("says in one line what is missing, and what is something else", async () => {
    const missing = await kubelock.run(["bench", "--collect", "nowhere"])
    assert.strictEqual(missing.code, 75)
    assert.match(missing.stderr, /^kubelock: the Job nowhere has not begun, or is not there: .*\n$/)
    await benchJob.leave(kubelock, "strange", "3", benchJob.result())
    await put("strange-result-0", { data: { summary: "{}" }, binaryData: { wait: "" } })
    const strange = await kubelock.run(["bench", "--collect", "strange"])
    assert.deepStrictEqual([strange.code, strange.stdout], [1, ""])
    assert.match(strange.stderr, /^kubelock: ConfigMap strange-result-0 is not what this version leaves\n$/)
  })
})
