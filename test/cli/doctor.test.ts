/** `kubelock doctor`, as a process. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Resource from "../../src/Resource.ts"
import { Fault, type SeenRequest } from "../../src/testing/ApiServer.ts"
import * as Kubelock from "../utils/kubelock.ts"

const kubelock = Kubelock.forTests()

interface Finding {
  readonly check: string
  readonly status: string
  readonly detail: string
  readonly remedy?: string
}

/** What the doctor finds while something is wrong. */
const found = async (
  wrong: Effect.Effect<unknown, never, Scope.Scope>,
  ...args: ReadonlyArray<string>
): Promise<{ readonly code: number; readonly of: (check: string) => Finding }> => {
  const { code, stderr, stdout } = await Effect.runPromise(
    Effect.scoped(
      Effect.andThen(
        wrong,
        Effect.promise(() => kubelock.run(["doctor", "-o", "json", ...args]))
      )
    )
  )
  assert.strictEqual(stderr, "")
  const findings = JSON.parse(stdout) as ReadonlyArray<Finding>
  return { code, of: (check) => findings.find((finding) => finding.check === check)! }
}

const forbidding = (when: (request: SeenRequest) => boolean) => kubelock.server.inject(Fault.Forbid({}), { when })

describe("kubelock doctor", () => {
  it("refuses what cannot be the name of a lock", async () => {
    const { code, stderr, stdout } = await kubelock.run(["doctor", "a/b"])
    assert.deepStrictEqual([code, stdout], [64, ""])
    assert.match(stderr, /^kubelock: "a\/b" is not a valid name [^\n]*\n$/)
  })

  it("finds that all is well, and leaves nothing behind", async () => {
    const { code, stderr, stdout } = await kubelock.run(["doctor"])
    assert.deepStrictEqual([code, stderr], [0, ""])
    const lines = stdout.trim().split("\n")
    for (const line of lines) assert.match(line, /^(ok {4}|- {5}http\/2)/)
    assert.strictEqual(lines.length, 10)
    assert.include(lines[0]!, `at ${kubelock.server.url}, namespace default, by KUBECONFIG (`)
    assert.deepStrictEqual(await Effect.runPromise(kubelock.server.list(Resource.configMap, "default")), [])
  })

  it("does not take the page of a proxy for an API server", async () => {
    const page = Fault.Answer({ at: "Request", status: 200, contentType: "text/html", body: "<html>Sign in</html>" })
    const { code, of } = await found(kubelock.server.inject(page))
    assert.deepStrictEqual([code, of("cluster").status], [1, "failed"])
    assert.match(of("cluster").detail, /: what answers does not tell its version: it is no API server\.$/)
    assert.isUndefined(of("leases"))
  })

  it("names the verbs that are missing, and fails if there are no locks without them", async () => {
    const patch = await found(forbidding(({ method, path }) => method === "PATCH" && path.includes("/configmaps")))
    assert.strictEqual(patch.code, 1)
    assert.strictEqual(patch.of("rights for locks").status, "failed")
    assert.match(patch.of("rights for locks").remedy!, /^Grant patch on configmaps in a Role\./)
    assert.strictEqual(patch.of("latency").status, "skipped")
    const list = await found(forbidding(({ verb }) => verb === "list"))
    assert.match(list.of("rights for inspect").detail, /; inspect NAME works$/)
    const reads = await found(forbidding(({ verb }) => verb === "list" || verb === "get"))
    assert.match(reads.of("rights for inspect").detail, /^not allowed to list configmaps$/)
  })

  it("asks about the rights on one object, for Roles that name objects", async () => {
    const others = forbidding(
      ({ path }) => /\/(configmaps|leases)/.test(path) && !/\/(configmaps|leases)\/deploy$/.test(path)
    )
    const all = await found(others)
    assert.strictEqual(all.code, 1)
    assert.match(all.of("rights for locks").detail, /^not allowed to get, patch, create, watch configmaps$/)
    assert.match(all.of("rights for locks").remedy!, /If it names objects, ask about one: doctor NAME\.$/)
    const one = await found(others, "deploy")
    assert.strictEqual(one.code, 0)
    assert.deepInclude(one.of("rights for locks"), { status: "ok", detail: "get, patch, watch on configmaps/deploy" })
    assert.deepInclude(one.of("rights for elections"), {
      status: "ok",
      detail: "get, patch, watch on leases.coordination.k8s.io/deploy, create on events"
    })
  })

  it("does not say that rights are granted if the server does not tell", async () => {
    const { of } = await found(forbidding(({ path }) => path.endsWith("/selfsubjectaccessreviews")))
    for (const which of ["locks", "inspect", "elections"]) {
      assert.strictEqual(of(`rights for ${which}`).status, "skipped")
    }
  })

  it("takes note of a clock that is off", async () => {
    const { code, of } = await found(
      Effect.acquireRelease(kubelock.server.setClockOffset("1 hour"), () => kubelock.server.setClockOffset(0))
    )
    assert.deepStrictEqual([code, of("clock").status], [0, "advice"])
    assert.match(of("clock").detail, /by at least 59m/)
  })

  it("notices a proxy that holds back the events of watches", async () => {
    const { code, of } = await found(kubelock.server.freezeWatches)
    assert.deepStrictEqual([code, of("watch").status], [1, "failed"])
    assert.match(of("watch").remedy!, /proxy_buffering off/)
  })

  it("makes no objects of a kind that belongs to others, nor what it may not delete", async () => {
    const others = await found(Effect.void, "--resource", "secrets")
    assert.deepStrictEqual([others.code, others.of("watch").status], [0, "skipped"])
    const withoutDelete = forbidding(({ method, path }) => method === "DELETE" && path.includes("/configmaps"))
    const kept = await found(withoutDelete)
    assert.deepStrictEqual([kept.code, kept.of("watch").status], [0, "skipped"])
    assert.match(kept.of("watch").detail, /not allowed to delete configmaps$/)
    // A dry run leaves nothing behind.
    for (const { of } of [others, kept]) {
      assert.deepStrictEqual([of("annotations").status, /dry run/.test(of("annotations").detail)], ["ok", true])
    }
    const left = Effect.forEach([Resource.secret, Resource.configMap], (one) => kubelock.server.list(one, "default"))
    assert.deepStrictEqual(await Effect.runPromise(left), [[], []])
  })

  it("finds by a dry run that annotations are changed on their way", async () => {
    const changed = { apiVersion: "v1", kind: "Secret", metadata: { name: "x", uid: "1", resourceVersion: "1" } }
    const { code, of } = await found(
      kubelock.server.inject(Fault.Answer({ at: "Request", status: 201, body: JSON.stringify(changed) }), {
        when: ({ method, path }) => method === "POST" && path.includes("/secrets")
      }),
      "--resource",
      "secrets"
    )
    assert.deepStrictEqual([code, of("annotations").status], [1, "failed"])
  })

  it("says what is wrong with the kubeconfig", async () => {
    const { code, of } = await found(Effect.void, "--kubeconfig", "nowhere")
    assert.deepStrictEqual([code, of("cluster").status], [1, "failed"])
    assert.match(of("cluster").detail, /nowhere does not exist/)
  })

  it("names the server that it does not reach, and the kubeconfig that it is from", async () => {
    const dead = kubelock.server.kubeConfig.replace(/127\.0\.0\.1:\d+/, "127.0.0.1:9")
    writeFileSync(join(kubelock.folder, "dead"), dead)
    const { code, of } = await found(Effect.void, "--kubeconfig", "dead")
    assert.deepStrictEqual([code, of("cluster").status], [1, "failed"])
    assert.match(of("cluster").detail, /^https?:\/\/127\.0\.0\.1:9, by dead: .*ECONNREFUSED/)
  })
})
