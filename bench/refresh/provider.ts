/**
 * An OpenID provider on loopback: `oidc-provider` with rotating refresh tokens. The second use of a spent token revokes
 * the grant, and with it every token that came from it.
 *
 * Besides OpenID's own paths it answers `POST /mint` (the first refresh token of a new grant, which a browser would get)
 * and `GET /ledger`.
 */
import * as Effect from "effect/Effect"
import { generateKeyPairSync } from "node:crypto"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { Provider } from "oidc-provider"
import * as Adapter from "./adapter.ts"
import { clientId, clientSecret, digest, type Ledger } from "./upstream.ts"

const day = 86_400

const makeProvider = (issuer: string) =>
  new Provider(issuer, {
    adapter: Adapter.make(),
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        token_endpoint_auth_method: "client_secret_post",
        grant_types: ["authorization_code", "refresh_token"],
        response_types: ["code"],
        application_type: "native",
        redirect_uris: ["http://127.0.0.1/callback"]
      }
    ],
    rotateRefreshToken: true,
    ttl: { AccessToken: 60, RefreshToken: day, Grant: day },
    features: { devInteractions: { enabled: false } },
    findAccount: (_context, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    jwks: { keys: [generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }) as never] },
    cookies: { keys: ["loopback only"] }
  })

const keepLedger = (provider: Provider, onRefresh: (service: string) => void): Ledger => {
  const refreshes: Array<Ledger["refreshes"][number]> = []
  const refusals: Array<Ledger["refusals"][number]> = []
  const ledger = { refreshes, refusals, revoked: 0 }
  const serviceOf = (context: { get: (name: string) => string }) => context.get("x-service")
  provider.on("grant.success", (context) => {
    const { RefreshToken, RotatedRefreshToken } = context.oidc.entities
    refreshes.push({
      service: serviceOf(context),
      spent: digest(RotatedRefreshToken!.jti),
      issued: digest(RefreshToken!.jti),
      at: Date.now()
    })
    onRefresh(serviceOf(context))
  })
  provider.on("grant.error", (context, error) => {
    refusals.push({
      service: serviceOf(context),
      token: digest(String(context.oidc.params?.["refresh_token"])),
      problem: String(error["error_detail"] ?? error.error_description ?? error.message),
      at: Date.now()
    })
  })
  provider.on("grant.revoked", () => {
    ledger.revoked++
  })
  return ledger
}

const mint = async (provider: Provider): Promise<string> => {
  const accountId = "somebody"
  const grant = new provider.Grant({ accountId, clientId })
  grant.addOIDCScope("offline_access")
  const client = await provider.Client.find(clientId)
  const token = new provider.RefreshToken({
    accountId,
    client: client!,
    grantId: await grant.save(),
    gty: "authorization_code",
    scope: "offline_access"
  } as never)
  return token.save()
}

/**
 * Starts the provider and returns its address. It ends with the scope. `onRefresh` is called for each refresh before
 * the answer is sent.
 */
export const start = Effect.fnUntraced(function* (onRefresh: (service: string) => void = () => {}) {
  const server = yield* Effect.acquireRelease(
    Effect.callback<Server>((resume) => {
      const server = createServer()
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const provider = makeProvider(url)
  const ledger = keepLedger(provider, onRefresh)
  const openId = provider.callback()
  server.on("request", (request, response) => {
    switch (request.url) {
      case "/mint":
        void mint(provider).then((token) => response.end(token))
        return
      case "/ledger":
        response.end(JSON.stringify(ledger))
        return
      default:
        void openId(request, response)
    }
  })
  return url
})
