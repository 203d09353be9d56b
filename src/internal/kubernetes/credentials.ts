/** What a kubeconfig says, in the form that requests need: headers, and how to connect. */
import type { KubeConfig } from "@kubernetes/client-node"
import type { ConnectionOptions } from "node:tls"

/** How to connect: TLS options (only those that are set), and an HTTP proxy on the way. */
export interface Connection {
  readonly tls: Pick<ConnectionOptions, (typeof tlsOptions)[number]>
  readonly proxy: string | undefined
}

/** Headers for each request, and how to connect. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string>>
  readonly connection: Connection
}

const tlsOptions = ["ca", "cert", "key", "passphrase", "pfx", "rejectUnauthorized", "servername"] as const

/** Reads them anew: token files, exec plugins and certificates may have changed. Rejects where one of these fails. */
export const read = async (kubeConfig: KubeConfig): Promise<Credentials> => {
  const options: ConnectionOptions & { headers: Record<string, string>; auth?: string | null } = { headers: {} }
  await kubeConfig.applyToHTTPSOptions(options as Parameters<KubeConfig["applyToHTTPSOptions"]>[0])
  return {
    headers: {
      ...options.headers,
      ...(typeof options.auth === "string"
        ? { Authorization: `Basic ${Buffer.from(options.auth).toString("base64")}` }
        : {})
    },
    connection: {
      tls: Object.fromEntries(
        tlsOptions.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]]))
      ),
      proxy: kubeConfig.getCurrentCluster()?.proxyUrl
    }
  }
}
