/**
 * The certificates of one API server: a CA and the certificates that it signs.
 *
 * The package `selfsigned` makes them on Node's WebCrypto (P-256, a few milliseconds each), so `openssl` need not be
 * installed. It is an optional peer dependency of kubelock and is loaded on first use.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Crypto from "node:crypto"
import type * as selfsigned from "selfsigned"
import { EnvtestError } from "./EnvtestError.ts"
import { inRealTime } from "./realTime.ts"

/** A certificate and its private key, both PEM. */
export interface KeyPair {
  readonly cert: string
  readonly key: string
}

/** The user that a client certificate names: Kubernetes reads the name from CN and the groups from O. */
export interface User {
  readonly name: string
  readonly groups?: ReadonlyArray<string> | undefined
}

/**
 * A CA.
 *
 * - `ca`: its own certificate.
 * - `serving`: the certificate of a server on this machine, for `127.0.0.1` and `localhost`.
 * - `client`: the certificate of a user.
 */
export interface Authority {
  readonly ca: KeyPair
  readonly serving: Effect.Effect<KeyPair>
  readonly client: (user: User) => Effect.Effect<KeyPair>
}

/** Makes a CA. Fails if `selfsigned` is not installed. */
export const makeAuthority: Effect.Effect<Authority, EnvtestError> = Effect.gen(function* () {
  const { generate } = yield* Effect.tryPromise({
    try: () => import("selfsigned"),
    catch: (cause) =>
      new EnvtestError({
        step: "certificates",
        detail: `the package selfsigned cannot be loaded. Install it with "npm install --save-dev selfsigned". ${String(cause)}`
      })
  })

  const sign = (subject: Subject, extensions: Extensions, ca?: KeyPair): Effect.Effect<KeyPair> =>
    Clock.currentTimeMillis.pipe(
      Effect.flatMap((now) =>
        Effect.promise(() =>
          generate([...subject], {
            keyType: "ec",
            algorithm: "sha256",
            notBeforeDate: new Date(now - hour),
            notAfterDate: new Date(now + 7 * 24 * hour),
            extensions,
            ...(ca === undefined ? {} : { ca: { cert: ca.cert, key: ca.key } })
          })
        )
      ),
      Effect.map((made) => ({ cert: made.cert, key: made.private })),
      inRealTime
    )

  const ca = yield* sign(
    [{ name: "commonName", value: "kubelock-test-ca" }],
    [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, digitalSignature: true, critical: true }
    ]
  )
  return {
    ca,
    serving: sign(
      [{ name: "commonName", value: "localhost" }],
      [
        { name: "extKeyUsage", serverAuth: true },
        {
          name: "subjectAltName",
          altNames: [
            { type: 2, value: "localhost" },
            { type: 7, ip: "127.0.0.1" }
          ]
        }
      ],
      ca
    ),
    client: ({ groups, name }) =>
      sign(
        [...(groups ?? []).map((value) => ({ name: "organizationName", value })), { name: "commonName", value: name }],
        [{ name: "extKeyUsage", clientAuth: true }],
        ca
      )
  }
})

/** A key pair without a certificate, for service account tokens: `cert` is the public key. */
export const signing: Effect.Effect<KeyPair> = Effect.sync(() => {
  const { privateKey, publicKey } = Crypto.generateKeyPairSync("ec", {
    namedCurve: "P-256",
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" }
  })
  return { cert: publicKey, key: privateKey }
})

type Subject = ReadonlyArray<{ readonly name: string; readonly value: string }>
type Extensions = NonNullable<NonNullable<Parameters<typeof selfsigned.generate>[1]>["extensions"]>

const hour = 3_600_000
