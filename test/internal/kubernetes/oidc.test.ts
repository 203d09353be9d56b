/** Users of OpenID Connect, against a provider that accepts each refresh-token once. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import type { IncomingMessage, ServerResponse } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { KubeConfigError } from "../../../src/internal/kubernetes/kubeConfigError.ts"
import * as KubernetesClient from "../../../src/KubernetesClient.ts"
import * as Certificates from "../../../src/testing/envtest/Certificates.ts"
import * as TlsServer from "../../utils/tlsServer.ts"

const jwt = (exp: number) =>
  ["{}", JSON.stringify({ exp }), "s"].map((part) => Buffer.from(part).toString("base64url")).join(".")
const [expired, valid] = [jwt(1), jwt(4_000_000_000)]

/** How the provider answers. */
interface Behaviour {
  /** Whether it knows a client by the header alone, or by the form alone. */
  readonly by?: "header" | "form"
  /** Whether it gives a new refresh-token. */
  readonly rotates?: boolean
}

const provider = (authority: Certificates.Authority, { by = "header", rotates = true }: Behaviour) =>
  Effect.gen(function* () {
    const spent: Array<string> = []
    let current = "refresh-0"
    const answer = async (request: IncomingMessage, response: ServerResponse) => {
      let body = ""
      for await (const chunk of request) body += String(chunk)
      const form = new URLSearchParams(body)
      const header = request.headers.authorization
      const isKnown =
        by === "header"
          ? header === `Basic ${Buffer.from("us:s3%26cret").toString("base64")}`
          : header === undefined && form.get("client_id") === "us" && form.get("client_secret") === "s3&cret"
      const reply = (status: number, value: object) => response.writeHead(status).end(JSON.stringify(value))
      if (request.url === "/realm/.well-known/openid-configuration") {
        return reply(200, { token_endpoint: `https://${request.headers.host}/token?x=y` })
      }
      if (request.url !== "/token?x=y" || request.method !== "POST") return reply(404, {})
      if (!isKnown) return reply(401, { error: "invalid_client" })
      const token = form.get("refresh_token")!
      if (token !== current) return reply(400, { error: "invalid_grant", error_description: token })
      spent.push(token)
      if (rotates) current = `refresh-${spent.length}`
      return reply(200, { id_token: valid, ...(rotates ? { refresh_token: current } : {}) })
    }
    const port = yield* TlsServer.serve(yield* authority.serving, (request, response) => void answer(request, response))
    return { issuer: `https://localhost:${port}/realm`, spent }
  })

const place = (behaviour: Behaviour = {}) =>
  Effect.gen(function* () {
    const authority = yield* Certificates.makeAuthority
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "kubelock-oidc-"))),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
    )
    let status = 200
    const server = yield* TlsServer.make(authority, { status: () => status })
    const { issuer, spent } = yield* provider(authority, behaviour)
    const ca = Buffer.from(authority.ca.cert).toString("base64")
    const config = join(folder, "config")
    const text = (token = "refresh-0") => `# Mine.
current-context: x
contexts: [{ name: x, context: { cluster: c, user: u } }]
clusters: [{ name: c, cluster: { server: "${server.url}", certificate-authority-data: ${ca} } }]
users:
- name: other
- name: u # me
  user:
    auth-provider:
      name: oidc
      config:
        idp-issuer-url: ${issuer}
        idp-certificate-authority-data: ${ca}
        client-id: us
        client-secret: s3&cret
        id-token: ${expired}
        refresh-token: ${token}
`
    writeFileSync(config, text(), { mode: 0o600 })
    const client = Effect.map(KubernetesClient.KubernetesClient, (client) =>
      Effect.map(
        client.request({ method: "GET", path: "/", headers: {} }, { timeoutMillis: 20_000, maxBytes: 1000 }),
        () => server.seen.at(-1)!.headers.find(([name]) => name === "authorization")?.[1]
      )
    )
    return {
      folder,
      config,
      text,
      spent,
      setStatus: (code: number) => void (status = code),
      run: <A, E>(use: (request: Effect.Effect<string | undefined, unknown>) => Effect.Effect<A, E>) =>
        Effect.flatMap(client, use).pipe(
          Effect.provide(KubernetesClient.layerKubeConfig({ file: config }), { local: true })
        )
    }
  })

// The lines with their comments, whatever their indentation.
const linesOf = (yaml: string) => yaml.split("\n").map((line) => line.replaceAll(/\s/g, ""))

describe("an id-token that has expired", () => {
  for (const by of ["header", "form"] as const) {
    it.live(`is refreshed and stored, at a provider that knows clients by a ${by}`, () =>
      Effect.gen(function* () {
        const { config, folder, run, spent, text } = yield* place({ by })
        assert.strictEqual(yield* run((request) => request), `Bearer ${valid}`)
        assert.deepStrictEqual(
          linesOf(readFileSync(config, "utf8")),
          linesOf(text("refresh-1").replace(expired, valid))
        )
        assert.strictEqual(statSync(config).mode & 0o777, 0o600)
        assert.deepStrictEqual(readdirSync(folder), ["config"])
        assert.strictEqual(yield* run((request) => request), `Bearer ${valid}`)
        assert.deepStrictEqual(spent, ["refresh-0"])
      }).pipe(Effect.scoped)
    )
  }

  it.live("is refreshed by the same refresh-token again if the provider gives no other", () =>
    Effect.gen(function* () {
      const { config, run, spent, text } = yield* place({ rotates: false })
      yield* run((request) => request)
      assert.deepStrictEqual(linesOf(readFileSync(config, "utf8")), linesOf(text().replace(expired, valid)))
      writeFileSync(config, text())
      assert.strictEqual(yield* run((request) => request), `Bearer ${valid}`)
      assert.deepStrictEqual(spent, ["refresh-0", "refresh-0"])
    }).pipe(Effect.scoped)
  )

  it.live("that could not be stored is told, and its refresh-token is not spent twice", () =>
    Effect.gen(function* () {
      const { config, run, setStatus, spent, text } = yield* place()
      writeFileSync(`${config}.lock`, "")
      const lines: Array<string> = []
      const logger = Logger.make<unknown, void>(({ message }) => void lines.push(String(message)))
      yield* run((request) =>
        Effect.gen(function* () {
          assert.strictEqual(yield* request, `Bearer ${valid}`)
          setStatus(401)
          assert.strictEqual(yield* request, `Bearer ${valid}`)
        })
      ).pipe(Effect.provide(Logger.layer([logger])))
      assert.strictEqual(readFileSync(config, "utf8"), text())
      assert.deepStrictEqual(spent, ["refresh-0"])
      assert.lengthOf(lines, 1)
      assert.include(lines[0]!, `The new tokens of the user "u" could not be stored in ${config}`)
    }).pipe(Effect.scoped)
  )

  it.live("whose refresh-token is spent is an error, without the token", () =>
    Effect.gen(function* () {
      const { config, run, text } = yield* place()
      writeFileSync(config, text("refresh-x"))
      const error = yield* Effect.flip(run((request) => request))
      assert.instanceOf(error, KubeConfigError)
      assert.include(String(error), "the provider refused (400, invalid_grant); log in anew")
      assert.notInclude(String(error), "refresh-x")
    }).pipe(Effect.scoped)
  )
})
