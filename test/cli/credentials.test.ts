/** `kubelock run` with credentials that expire, are rotated or are withdrawn while it holds a lock. */
import { afterEach, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import * as Kubelock from "../utils/kubelock.ts"

const kubelock = Kubelock.forTests()

const setToken = (token: string | undefined) => Effect.runPromise(kubelock.server.setToken(token))

afterEach(() => setToken(undefined))

const write = (name: string, text: string, mode?: number) => writeFileSync(join(kubelock.folder, name), text, { mode })

/** A kubeconfig whose user is this one. */
const withUser = (user: object) =>
  write("kubeconfig-of-user", kubelock.server.kubeConfig.replace("user: {}", `user: ${JSON.stringify(user)}`))

const apiVersion = "client.authentication.k8s.io/v1"

/** A plugin, as a script. What it does each time is in the file `plugin.sh`. */
const withPlugin = () => {
  write("plugin", "#!/bin/sh\n. ./plugin.sh\n", 0o755)
  withUser({ exec: { apiVersion, command: "./plugin", interactiveMode: "Never" } })
}

/** A script that prints a token which lasts for so many seconds. */
const printing = (token: string, seconds: number): string => {
  const expiry = `new Date(Date.now() + ${seconds * 1000}).toISOString()`
  const status = `status: { token: "${token}", expirationTimestamp: ${expiry} }`
  return `node -p 'JSON.stringify({ apiVersion: "${apiVersion}", kind: "ExecCredential", ${status} })'`
}

/** Gives a plugin tokens that last for so many seconds. The server accepts none but the last one. */
const issuing = async (seconds: number) => {
  const issuedAt: Array<number> = []
  const issuer = createServer((_, response) => {
    issuedAt.push(Date.now())
    const token = `token-${issuedAt.length}`
    const expirationTimestamp = new Date(Date.now() + seconds * 1000).toISOString()
    void setToken(token).then(() =>
      response.end(JSON.stringify({ apiVersion, kind: "ExecCredential", status: { token, expirationTimestamp } }))
    )
  })
  await new Promise<void>((listens) => issuer.listen(0, "127.0.0.1", listens))
  const { port } = issuer.address() as AddressInfo
  withPlugin()
  write(
    "plugin.sh",
    `node -e 'fetch("http://127.0.0.1:${port}").then((response) => response.text()).then(console.log)'`
  )
  await Effect.runPromise(kubelock.server.clearRequests)
  return { issuedAt, close: () => void issuer.close() }
}

/** How many requests the server refused. */
const refusals = async () =>
  (await Effect.runPromise(kubelock.server.requests)).filter(({ status }) => status === 401).length

/** Holds a lock until the command is told to end. */
const holding = async (name: string) => {
  const shell = "trap 'echo told; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
  const args = ["run", name, "--ttl=5", "--kubeconfig", "kubeconfig-of-user", "--", "sh", "-c", shell]
  const running = kubelock.start(args)
  await running.says("ready")
  return running
}

const renewals = Effect.map(
  Effect.suspend(() => kubelock.server.requests),
  (requests) => requests.filter(({ method, status }) => method === "PATCH" && status === 200).length
)

/** Waits for further renewals. */
const renewed = async (times: number) => {
  await Effect.runPromise(kubelock.server.clearRequests)
  await Kubelock.until(async () => (await Effect.runPromise(renewals)) >= times)
}

// A shell tells of what ended the program that it waited for.
const saidIn = (stderr: string) => stderr.split("\n").filter((line) => line.startsWith("kubelock: "))

const endOf = async (running: Kubelock.Running) => {
  running.process.kill()
  const { code, stderr } = await running.ended
  assert.deepStrictEqual([code, saidIn(stderr)], [3, []])
}

describe("the credentials of kubelock run", () => {
  it("are read again from a file once the server refuses them", async () => {
    await setToken("a")
    write("token", "a")
    withUser({ tokenFile: "token" })
    const running = await holding("rotated")
    write("token", "b")
    await setToken("b")
    await renewed(2)
    await endOf(running)
  })

  it("are asked for again by a plugin when they have expired, and never sooner", async () => {
    const { close, issuedAt } = await issuing(2)
    const running = await holding("short-lived")
    await Kubelock.until(() => issuedAt.length >= 4)
    assert.strictEqual(await refusals(), 0)
    await renewed(2)
    const pauses = issuedAt.slice(1).map((at, index) => at - issuedAt[index]!)
    for (const pause of pauses) assert.isAtLeast(pause, 2000)
    await endOf(running)
    close()
  })

  it("are asked for again by a plugin once the server refuses them", async () => {
    const { close, issuedAt } = await issuing(3600)
    const running = await holding("refused")
    await setToken("another")
    await Kubelock.until(() => issuedAt.length >= 2)
    assert.strictEqual(await refusals(), 1)
    await renewed(2)
    assert.strictEqual(await refusals(), 0)
    assert.lengthOf(issuedAt, 2)
    await endOf(running)
    close()
  })

  it("cost the lock if the server goes on refusing them, which is said once", async () => {
    await setToken("a")
    withUser({ token: "a" })
    const running = await holding("withdrawn")
    await setToken("b")
    const { code, stderr, stdout } = await running.ended
    assert.deepStrictEqual([code, stdout], [76, "ready\ntold\n"])
    const [refused, lost, ...others] = saidIn(stderr)
    assert.match(refused!, /^kubelock: The API server did not accept the credentials for configmaps\/withdrawn /)
    assert.match(lost!, /^kubelock: Lost lock "withdrawn" .*: its lease expired before it was renewed\.$/)
    assert.deepStrictEqual(others, [])
  })

  it("cost the lock if a plugin gives none any more, and it is said which", async () => {
    await setToken("a")
    withPlugin()
    write("plugin.sh", printing("a", 2))
    const running = await holding("logged-out")
    write("plugin.sh", "exit 1")
    const { code, stderr, stdout } = await running.ended
    assert.deepStrictEqual([code, stdout], [76, "ready\ntold\n"])
    const [missing, lost, ...others] = saidIn(stderr)
    assert.match(
      missing!,
      /^kubelock: There are no credentials for the API server \S+: the plugin \S+ failed with exit code 1\. Requests are tried again\.$/
    )
    assert.match(lost!, /^kubelock: Lost lock "logged-out" .*: its lease expired before it was renewed\.$/)
    assert.deepStrictEqual(others, [])
  })
})
