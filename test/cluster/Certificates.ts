/**
 * The certificates of one API server: a CA, and what it signs.
 *
 * Made by `selfsigned` on Node's WebCrypto (P-256, a few milliseconds each), so that no `openssl` has to be installed.
 */
import * as Effect from "effect/Effect"
import * as Crypto from "node:crypto"
import * as selfsigned from "selfsigned"

/** A certificate and its private key, both PEM. */
export interface KeyPair {
  readonly cert: string
  readonly key: string
}

/** Whom a client certificate names: Kubernetes reads the user from CN and the groups from O. */
export interface User {
  readonly name: string
  readonly groups?: ReadonlyArray<string> | undefined
}

/** A new CA. */
export const authority: Effect.Effect<KeyPair> = Effect.suspend(() =>
  generate(
    [{ name: "commonName", value: "kubelock-test-ca" }],
    [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, digitalSignature: true, critical: true }
    ]
  )
)

/** The certificate that a server on this machine shows, for `127.0.0.1` and `localhost`. */
export const serving = (ca: KeyPair): Effect.Effect<KeyPair> =>
  generate(
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
  )

/** The certificate that a user shows. */
export const client = (ca: KeyPair, user: User): Effect.Effect<KeyPair> =>
  generate(
    [
      ...(user.groups ?? []).map((value) => ({ name: "organizationName", value })),
      { name: "commonName", value: user.name }
    ],
    [{ name: "extKeyUsage", clientAuth: true }],
    ca
  )

/** A key pair without a certificate, for service account tokens: `cert` is the public key. */
export const signing: Effect.Effect<KeyPair> = Effect.sync(() => {
  const { privateKey, publicKey } = Crypto.generateKeyPairSync("ec", {
    namedCurve: "P-256",
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" }
  })
  return { cert: publicKey, key: privateKey }
})

type Options = NonNullable<Parameters<typeof selfsigned.generate>[1]>

const hour = 3_600_000

const generate = (
  subject: ReadonlyArray<{ readonly name: string; readonly value: string }>,
  extensions: NonNullable<Options["extensions"]>,
  ca?: KeyPair
): Effect.Effect<KeyPair> =>
  Effect.map(
    Effect.promise(() => {
      const now = Date.now()
      return selfsigned.generate([...subject], {
        keyType: "ec",
        algorithm: "sha256",
        notBeforeDate: new Date(now - hour),
        notAfterDate: new Date(now + 7 * 24 * hour),
        extensions,
        ...(ca === undefined ? {} : { ca: { cert: ca.cert, key: ca.key } })
      })
    }),
    (made) => ({ cert: made.cert, key: made.private })
  )
