/** The objects that are contended for: a new one for each round, so that none inherits anything. */
import * as Effect from "effect/Effect"
import type { ApiServerProcess } from "../../src/testing/envtest/Envtest.ts"
import { type Kind, usesLease } from "./kind.ts"
import { LoadError } from "../loadError.ts"

/** The namespace that the servers are started with. */
export const namespace = "dex"

let made = 0

/** Makes an object for a kind to lock, and answers its name. `bytes` is about what it takes as JSON; a Lease is small. */
export const make = Effect.fnUntraced(function* (api: ApiServerProcess, kind: Kind, bytes: number) {
  made++
  const name = `peers-${kind}-${made}`
  const [group, plural, object] = usesLease(kind)
    ? ["coordination.k8s.io", "leases", { kind: "Lease", spec: {} }]
    : ["dex.coreos.com", "refreshtokens", refreshToken(bytes)]
  const { body, status } = yield* api
    .request("POST", `/apis/${group}/v1/namespaces/${namespace}/${plural}`, {
      apiVersion: `${group}/v1`,
      metadata: { name },
      ...object
    })
    .pipe(Effect.mapError(({ message }) => new LoadError({ message })))
  if (status !== 201) return yield* new LoadError({ message: `POST ${plural}: ${status} ${JSON.stringify(body)}` })
  return name
})

/** What Dex keeps in one, the provider's data as long as it takes. */
const refreshToken = (bytes: number) => {
  const token = {
    kind: "RefreshToken",
    clientID: "bench",
    token: crypto.randomUUID(),
    createdAt: "2026-01-01T00:00:00Z",
    lastUsed: "2026-01-01T00:00:00Z",
    scopes: ["openid", "profile", "email", "groups", "offline_access"],
    nonce: crypto.randomUUID(),
    connectorID: "oidc",
    claims: { userID: crypto.randomUUID(), username: "bench", email: "bench@example.com", emailVerified: true }
  }
  const data = "x".repeat(Math.max(0, bytes - JSON.stringify(token).length))
  return {
    ...token,
    connectorData: Buffer.from(data)
      .toString("base64")
      .slice(0, data.length - (data.length % 4))
  }
}
