/** The credentials in a kubeconfig, in the form that requests need. */
import type { KubeConfig } from "@kubernetes/client-node"
import type { ConnectionOptions } from "node:tls"

/** How to connect: the TLS options that are set, and the URL of an HTTP proxy. */
export interface Connection {
  readonly tls: Pick<ConnectionOptions, (typeof tlsOptions)[number]>
  readonly proxy: string | undefined
}

/** The headers of each request, and how to connect. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string>>
  readonly connection: Connection
}

const tlsOptions = ["ca", "cert", "key", "passphrase", "pfx", "rejectUnauthorized", "servername"] as const

/**
 * Reads the credentials anew, because token files, certificates and the output of exec plugins change. Rejects if one
 * of them cannot be read.
 */
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
