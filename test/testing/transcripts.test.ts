/**
 * Repeats requests that were recorded on real API servers, in the same order, and compares the answers: status, media
 * type and the whole body. Only versions, uids and times may differ, and only consistently: if the real server kept a
 * version, the embedded one must keep it, and if the real server made a new one, so must the embedded one.
 *
 * Some transcripts are left out: server-side apply (56 to 60), LIST of a past that etcd had forgotten (75, 88, 89), `/version`
 * (01, its build), and a second user with a Role (72). Of the full server, those that differ from 1.36 are left
 * out as well. What they say about Leases and strategic merge, `conversations.test.ts` asks.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as TestClock from "effect/testing/TestClock"
import { readdirSync, readFileSync } from "node:fs"
import * as Resource from "../../src/Resource.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import { type Body, type Sent, send, watch, type WatchEvent } from "./http.ts"

interface Transcript {
  readonly request: Sent & { readonly method: string; readonly bodyBytes?: number }
  readonly response: {
    readonly status: number
    readonly headers: Readonly<Record<string, string>>
    readonly json?: Body
    readonly text?: string
    readonly events?: ReadonlyArray<WatchEvent>
  }
}

const folder = new URL("../fixtures/transcripts/", import.meta.url)
const load = (prefix: string) =>
  readdirSync(folder)
    .filter((file) => file.startsWith(prefix))
    .map((file) => {
      const transcript: Transcript = JSON.parse(readFileSync(new URL(file, folder), "utf8"))
      return { name: file.replace(".json", ""), number: Number(file.split("-")[1]), transcript }
    })
    .toSorted((a, b) => a.number - b.number)

const token = "ADMIN-TOKEN"
const layer = ApiServer.layer({
  resources: [Resource.refreshToken, Resource.configMap, Resource.lease],
  namespaces: ["dex"],
  token
})
const admin = { authorization: `Bearer ${token}` }
const tokens = "/apis/dex.coreos.com/v1/namespaces/dex/refreshtokens"

/** The versions and uids of the recorded server, and the embedded server's own for them. */
class Names {
  readonly #ours = new Map<string, string>()
  readonly #taken = new Set<string>()

  learn(recorded: string, ours: string) {
    if (this.#ours.has(recorded)) return assert.strictEqual(ours, this.#ours.get(recorded), `for ${recorded}`)
    assert.isFalse(this.#taken.has(ours), `${recorded} was new, ${ours} is not`)
    this.#ours.set(recorded, ours)
    this.#taken.add(ours)
  }

  /** Recorded text with our versions and uids in it. */
  translate(text: string): string {
    return text
      .replaceAll(/(resourceVersion(?:","value)?":"|resourceVersion=|\()(\d+)/g, (all, before, version) =>
        this.#ours.has(version) ? `${before}${this.#ours.get(version)}` : all
      )
      .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, (uid) => this.#ours.get(uid) ?? uid)
  }

  /** Compares two bodies, and learns new names on the way. */
  compare(recorded: unknown, ours: unknown, path: string): void {
    if (typeof recorded !== "object" || recorded === null) return assert.deepStrictEqual(ours, recorded, path)
    assert.deepStrictEqual(keys(ours), keys(recorded), path)
    for (const [key, value] of Object.entries(recorded)) {
      this.#compareField(key, value, (ours as Record<string, unknown>)[key], `${path}.${key}`)
    }
  }

  #compareField(key: string, recorded: unknown, ours: unknown, path: string): void {
    if (typeof recorded !== "string") return this.compare(recorded, ours, path)
    assert.isString(ours, path)
    const text = String(ours)
    if (key === "resourceVersion" || key === "uid") return this.learn(recorded, text)
    if (key.endsWith("Timestamp")) return assert.match(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, path)
    if (key === "name" && recorded.startsWith("gen-")) return assert.match(text, /^gen-[a-z0-9]{5}$/, path)
    if (key === "message") return assert.strictEqual(sentence(text), sentence(this.translate(recorded)), path)
    assert.strictEqual(text, recorded, path)
  }
}

const keys = (value: unknown) =>
  typeof value === "object" && value !== null
    ? Object.keys(value)
        .filter((key) => key !== "managedFields")
        .toSorted()
    : `not an object: ${String(value)}`

/** A message without what no two servers have in common: the count of writes, etcd's prefix, a quoted object. */
const sentence = (message: string) =>
  message
    .replace(/current: \d+/, "current: N")
    .replace(/too old resource version: (\d+) \(\d+\)/, "too old resource version: $1 (N)")
    .replace("Key: /ext/", "Key: /registry/")
    .replace(/Invalid value: "\{.*\}": json/s, "Invalid value: OBJECT: json")

const post = (body: object): Sent => ({
  method: "POST",
  path: tokens,
  headers: { ...admin, "content-type": "application/json" },
  body: JSON.stringify({ apiVersion: "dex.coreos.com/v1", kind: "RefreshToken", ...body })
})
const patch = (name: string, body: object): Sent => ({
  method: "PATCH",
  path: `${tokens}/${name}`,
  headers: { ...admin, "content-type": "application/merge-patch+json" },
  body: JSON.stringify(body)
})
const holder = (value: string) => ({ metadata: { annotations: { "lock/holder": value } } })

/** Other requests of the recording, made while a watch was open. */
const meanwhile: Readonly<Record<number, ReadonlyArray<Sent>>> = {
  79: [
    post({ metadata: { name: "tok-w" }, token: "w0" }),
    post({ metadata: { name: "tok-c" } }),
    patch("tok-w", holder("a")),
    patch("tok-w", holder("b")),
    patch("tok-w", holder("b")),
    { method: "DELETE", path: `${tokens}/tok-w`, headers: admin }
  ],
  91: [
    patch("tok-l", { metadata: { annotations: { "lock/queue": "b,c" } } }),
    patch("tok-l", {
      metadata: { annotations: { "lock/holder": "b", "lock/queue": "c" }, labels: { "lock-next": "b" } }
    }),
    patch("tok-l", { metadata: { annotations: { "lock/queue": "c,a" } } }),
    patch("tok-l", {
      metadata: { annotations: { "lock/holder": "c", "lock/queue": "a" }, labels: { "lock-next": "c" } }
    }),
    patch("tok-l", { metadata: { annotations: { "lock/queue": "a,b" } } }),
    patch("tok-l", {
      metadata: { annotations: { "lock/holder": "b", "lock/queue": null }, labels: { "lock-next": "b" } }
    }),
    { method: "DELETE", path: `${tokens}/tok-l`, headers: admin }
  ]
}

/** A body without the owners that the recorded server had written into it. */
const withoutOwners = (body: string): string => {
  const parsed = Result.getOrUndefined(Result.try((): unknown => JSON.parse(body)))
  const { metadata } = Object(parsed) as { readonly metadata?: object }
  return metadata !== undefined && metadata !== null && "managedFields" in metadata
    ? JSON.stringify({ ...(parsed as object), metadata: { ...metadata, managedFields: undefined } })
    : body
}

const replay = Effect.fnUntraced(function* (transcripts: ReturnType<typeof load>) {
  const server = yield* ApiServer.ApiServer
  const names = new Names()
  const learnFrom = Effect.fnUntraced(function* (sent: Sent, version: string, uid: string) {
    const { json } = yield* send(server.url, sent)
    names.learn(version, json.metadata.resourceVersion)
    names.learn(uid, json.metadata.uid)
  })
  const before: Readonly<Record<number, Effect.Effect<unknown, Error, never>>> = {
    55: send(server.url, patch("tok-a", { token: "w1" })),
    61: learnFrom(post({ metadata: { name: "tok-del" } }), "250", "7be3a53b-8a77-41b1-84ee-76fb19bba5b1"),
    80: send(server.url, post({ metadata: { name: "tok-w" }, token: "again" })),
    85: server.compact,
    90: Effect.forEach(["c0", "c1", "c2"], (value) => send(server.url, patch("tok-w", holder(value)))),
    91: learnFrom(
      post({ metadata: { name: "tok-l", labels: { app: "dex" }, annotations: { "lock/holder": "x" } } }),
      "35665",
      "2a3c600c-3c25-4a64-be12-292f0a72293f"
    )
  }
  for (const { name, number, transcript } of transcripts) {
    const { request, response } = transcript
    const isExt = name.startsWith("ext")
    if (isExt && before[number] !== undefined) yield* before[number]
    const body =
      request.bodyBytes === undefined
        ? request.body
        : JSON.stringify({
            apiVersion: "dex.coreos.com/v1",
            kind: "RefreshToken",
            metadata: { name: "tok-big", namespace: "dex" },
            blob: "x".repeat(request.bodyBytes - 150)
          })
    const sent: Sent = {
      method: request.method,
      path: names.translate(request.path),
      // A second user sent 73: here a fault plays that user. 91 was sent with a client certificate.
      headers: { ...request.headers, ...(number === 73 || number === 91 ? admin : {}) },
      ...(body === undefined ? {} : { body: names.translate(withoutOwners(body)) })
    }
    if (response.events !== undefined) {
      const open = yield* watch(server.url, sent)
      assert.strictEqual(open.status, response.status, name)
      yield* Effect.forEach(meanwhile[number] ?? [], (sent) => send(server.url, sent))
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* open.ended, "clean", name)
      names.compare(response.events, open.events, name)
      continue
    }
    const fault = ApiServer.Fault.Forbid({ user: "lab-user" })
    const answered = yield* Effect.scoped(
      Effect.andThen(number === 73 ? server.inject(fault) : Effect.void, send(server.url, sent))
    )
    assert.strictEqual(answered.status, response.status, `${name}: ${answered.text}`)
    assert.strictEqual(answered.headers["content-type"], response.headers["content-type"], name)
    assert.strictEqual(answered.headers["retry-after"], response.headers["retry-after"], name)
    if (response.json === undefined) assert.strictEqual(answered.text.trim(), response.text, name)
    else if (isExt && number === 3) assert.deepStrictEqual(discovered(answered.json), discovered(response.json), name)
    else names.compare(response.json, answered.json, name)
  }
})

/** A discovery document without the hash that the embedded server leaves out. */
const discovered = ({ resources, ...rest }: Body) => ({
  ...rest,
  resources: resources.map((resource) => Object.entries(resource).filter(([field]) => field !== "storageVersionHash"))
})

describe("transcripts", () => {
  const ext = load("ext")
  // The watch from a version long gone comes last, because it needs a compacted history.
  const order = [...ext.filter(({ number }) => number !== 85), ...ext.filter(({ number }) => number === 85)]

  it.effect("of a Kubernetes 1.36 server with the CRD of Dex get the same answers", () =>
    replay(order).pipe(Effect.provide(layer))
  )

  it.effect("of a Kubernetes 1.20 server, Leases and ConfigMaps, get the same answers", () =>
    replay(load("full")).pipe(Effect.provide(layer))
  )
})
