/** The example service of the docs, as two replicas, and its manifest. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import * as Provider from "./provider.ts"
import * as Upstream from "./upstream.ts"
import * as LockPolicy from "../../src/LockPolicy.ts"
import * as Resource from "../../src/Resource.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import * as Ports from "../../src/testing/envtest/Ports.ts"

const folder = join(import.meta.dirname, "../../docs/examples/token-service")
const secretName = "upstream-token"

const Answer = Schema.Struct({ access_token: Schema.String, expires_at: Schema.String })

/** A replica. Returns its address, and what it has printed so far. */
const replica = (env: Record<string, string>) =>
  Effect.gen(function* () {
    const port = yield* Ports.free
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, ["--conditions=kubelock-source", join(folder, "service.ts")], {
          env: { ...process.env, ...env, PORT: String(port) }
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    const printed: Array<string> = []
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => printed.push(String(chunk)))
    const url = `http://127.0.0.1:${port}`
    yield* HttpClient.get(`${url}/healthz`).pipe(
      Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 1000 }),
      Effect.mapError(() => new Error(`the service does not start: ${printed.join("")}`))
    )
    return { url, printed }
  })

/** The kubeconfig as a file, which goes with the scope. */
const kubeConfigFile = (text: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const home = mkdtempSync(join(tmpdir(), "kubelock-example-"))
      writeFileSync(join(home, "kubeconfig"), text)
      return join(home, "kubeconfig")
    }),
    (file) => Effect.sync(() => rmSync(dirname(file), { recursive: true }))
  )

/** A token endpoint with these answers, one after the other, and the refresh tokens that it got. */
const tokenEndpoint = (answers: ReadonlyArray<object>) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly spent: Array<string | null>; readonly server: Server }>(
      (resume) => {
        const spent: Array<string | null> = []
        const server = createServer((request, response) => {
          let body = ""
          request.on("data", (chunk) => (body += String(chunk)))
          request.on("end", () => {
            response.setHeader("content-type", "application/json")
            response.end(JSON.stringify(answers[spent.length]))
            spent.push(new URLSearchParams(body).get("refresh_token"))
          })
        })
        server.listen(0, "127.0.0.1", () =>
          resume(
            Effect.succeed({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`, spent, server })
          )
        )
      }
    ),
    ({ server }) => Effect.sync(() => server.closeAllConnections())
  )

layer(Layer.merge(ApiServer.layer(), FetchHttpClient.layer), { excludeTestServices: true })(
  "the token service",
  (it) => {
    it.effect("hands out one token from all replicas, and needs no more than its manifest grants", () =>
      Effect.gen(function* () {
        const server = yield* ApiServer.ApiServer
        const provider = yield* Provider.start()
        const first = yield* Upstream.mint(provider)
        // As the manifest makes it: without data. Another service holds its lock until a replica waits.
        yield* server.put(Resource.secret, "default", {
          metadata: {
            name: secretName,
            annotations: { [LockPolicy.neutralAnnotation]: new Date(Date.now() + 30_000).toISOString() }
          }
        })
        yield* server.clearRequests
        const kubeconfig = yield* kubeConfigFile(server.kubeConfig)
        const env = {
          KUBECONFIG: kubeconfig,
          TOKEN_ENDPOINT: `${provider}/token`,
          CLIENT_ID: Upstream.clientId,
          CLIENT_SECRET: Upstream.clientSecret,
          REFRESH_TOKEN: first
        }
        const replicas = yield* Effect.all([replica(env), replica(env)], { concurrency: "unbounded" })
        const asking = yield* Effect.forEach(
          [...replicas, ...replicas, ...replicas],
          ({ url }) => Effect.flatMap(HttpClient.get(`${url}/token`), HttpClientResponse.schemaBodyJson(Answer)),
          { concurrency: "unbounded" }
        ).pipe(Effect.forkChild)
        yield* server.openWatches.pipe(
          Effect.repeat({ until: (open) => open > 0, schedule: Schedule.spaced("20 millis") })
        )
        yield* server.put(Resource.secret, "default", { metadata: { name: secretName } })
        const answers = yield* Fiber.join(asking)
        assert.strictEqual(new Set(answers.map((answer) => answer.access_token)).size, 1)
        const ledger = yield* Upstream.ledger(provider)
        assert.lengthOf(ledger.refreshes, 1)
        assert.lengthOf(ledger.refusals, 0)

        const { data } = Option.getOrThrow(yield* server.get(Resource.secret, "default", secretName))
        const stored = Buffer.from((data as Record<string, string>)["token"]!, "base64").toString()
        assert.include(stored, answers[0]!.access_token)
        const printed = replicas.flatMap((replica) => replica.printed).join("")
        for (const secret of [answers[0]!.access_token, first, Upstream.clientSecret]) {
          assert.notInclude(printed, secret)
        }

        const verbs = new Set((yield* server.requests).map(({ verb }) => verb))
        const manifest = readFileSync(join(folder, "manifest.yaml"), "utf8")
        const granted = /resources: \[secrets\]\n\s+resourceNames: \[(.*)\]\n\s+verbs: \[(.*)\]/.exec(manifest)!
        assert.strictEqual(granted[1], secretName)
        assert.deepStrictEqual([...verbs].toSorted(), granted[2]!.split(", ").toSorted())
      })
    )

    it.effect("keeps what it can of an answer that is not as usual, and spends no token twice", () =>
      Effect.gen(function* () {
        const server = yield* ApiServer.ApiServer
        const name = "unusual"
        yield* server.put(Resource.secret, "default", { metadata: { name } })
        const endpoint = yield* tokenEndpoint([
          { access_token: "a1", refresh_token: "r1", expires_in: "1" },
          { access_token: "a2", refresh_token: null, expires_in: 1, scope: ["a"] },
          { refresh_token: "r3", expires_in: 3600 },
          { access_token: "a4" }
        ])
        const { url } = yield* replica({
          KUBECONFIG: yield* kubeConfigFile(server.kubeConfig),
          TOKEN_ENDPOINT: endpoint.url,
          CLIENT_ID: "c",
          CLIENT_SECRET: "s",
          REFRESH_TOKEN: "first",
          SECRET_NAME: name
        })
        const got: Array<unknown> = []
        for (let i = 0; i < 5; i++) {
          const response = yield* HttpClient.get(`${url}/token`)
          const body = (yield* response.json) as { readonly access_token?: string }
          got.push(response.status === 200 ? body.access_token : response.status)
        }
        assert.deepStrictEqual(got, ["a1", "a2", 502, "a4", "a4"])
        assert.deepStrictEqual(endpoint.spent, ["first", "r1", "r1", "r3"])
      })
    )
  }
)
