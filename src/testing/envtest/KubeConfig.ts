/** A kubeconfig with one cluster and one user, and all certificates embedded. */
import type { KeyPair } from "./Certificates.ts"

/** YAML for `kubectl`, client libraries and the servers themselves. */
export const make = (options: {
  readonly url: string
  readonly ca: string
  readonly user: string
  readonly credentials: KeyPair
}): string => `apiVersion: v1
kind: Config
current-context: envtest
clusters:
  - name: envtest
    cluster:
      server: ${options.url}
      certificate-authority-data: ${base64(options.ca)}
users:
  - name: ${JSON.stringify(options.user)}
    user:
      client-certificate-data: ${base64(options.credentials.cert)}
      client-key-data: ${base64(options.credentials.key)}
contexts:
  - name: envtest
    context:
      cluster: envtest
      user: ${JSON.stringify(options.user)}
      namespace: dex
`

const base64 = (pem: string): string => Buffer.from(pem).toString("base64")
