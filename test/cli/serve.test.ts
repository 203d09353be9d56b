/** `kubelock serve`, as a process, with the other verbs and with kubectl. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { inPath } from "../../tools/inPath.ts"
import * as notRun from "../../tools/notRun.ts"
import * as Kubelock from "../utils/kubelock.ts"

const kubelock = Kubelock.forTests()

const hasKubectl = inPath("kubectl") !== undefined
if (!hasKubectl) {
  notRun.say("kubectl on kubelock serve", "NOT RUN, no kubectl: Debian's package kubernetes-client has one")
}

describe("kubelock serve", () => {
  it("serves locks until a signal, by a kubeconfig that it removes", async () => {
    const serving = kubelock.start(["serve", "--write", "served", "-n", "trial"])
    await serving.says("is served")
    const file = join(kubelock.folder, "served")
    const env = { KUBECONFIG: file }
    const ran = await kubelock.run(["run", "deploy", "-n", "trial", "--", "echo", "in"], { env })
    assert.deepStrictEqual(ran, { code: 0, stdout: "in\n", stderr: "" })
    assert.include((await kubelock.run(["inspect", "-A"], { env })).stdout, "deploy")
    const second = await kubelock.run(["serve", "--write", "served"])
    assert.strictEqual(second.code, 64)
    assert.match(second.stderr, /^kubelock: .*served is there already: remove it, or name another file with --write\n$/)
    serving.process.kill("SIGTERM")
    assert.strictEqual((await serving.ended).code, 0)
    assert.isFalse(existsSync(file))
  })

  it("does not overwrite a file", async () => {
    writeFileSync(join(kubelock.folder, "mine"), "precious")
    assert.strictEqual((await kubelock.run(["serve", "--write", "mine"])).code, 64)
    assert.strictEqual(readFileSync(join(kubelock.folder, "mine"), "utf8"), "precious")
  })

  it.skipIf(!hasKubectl)("is good enough for kubectl get, describe, annotate and apply", async () => {
    const serving = kubelock.start(["serve", "--write", "for-kubectl"])
    await serving.says("is served")
    const shell = async (line: string) => {
      const { code, stderr, stdout } = await kubelock.shell(`export KUBECONFIG=for-kubectl; ${line}`)
      assert.strictEqual(code, 0, stderr)
      return stdout
    }
    const manifest = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" }, data: { color: "blue" } }
    writeFileSync(join(kubelock.folder, "a.json"), JSON.stringify(manifest))
    await shell("kubectl apply -f a.json")
    await shell("kubectl annotate configmap a dexidp.com/resource-lock=2099-01-01T00:00:00Z")
    assert.match(await shell("kubectl get configmap a"), /^NAME +DATA +AGE\na +1 /)
    assert.match(await shell("kubectl describe configmap a"), /Annotations: +dexidp\.com\/resource-lock: 2099/)
    assert.include(await shell("kubelock inspect a"), "unnamed, probably Dex")
    serving.process.kill("SIGTERM")
    await serving.ended
  })
})
