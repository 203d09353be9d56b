/** The command lines of etcd and of the API servers, for old (1.20) and new versions alike. */
import * as Path from "node:path"
import type { Server } from "./Assets.ts"

/** Where an etcd serves its clients. */
export const etcdUrl = (clientPort: number): string => `http://127.0.0.1:${clientPort}`

/** Arguments of etcd. */
export const etcd = (options: {
  readonly directory: string
  readonly clientPort: number
  readonly peerPort: number
  readonly fsync: boolean
}): ReadonlyArray<string> => [
  ...flags({
    "data-dir": Path.join(options.directory, "etcd"),
    "listen-client-urls": etcdUrl(options.clientPort),
    "advertise-client-urls": etcdUrl(options.clientPort),
    "listen-peer-urls": `http://127.0.0.1:${options.peerPort}`,
    "log-level": "error"
  }),
  ...(options.fsync ? [] : ["--unsafe-no-fsync"])
]

/** Arguments of an API server. Its certificates and its kubeconfig are in `directory`. */
export const apiServer = (
  server: Server,
  options: { readonly directory: string; readonly etcdPort: number; readonly port: number }
): ReadonlyArray<string> => {
  const file = (name: string) => Path.join(options.directory, name)
  const common = {
    "etcd-servers": etcdUrl(options.etcdPort),
    "bind-address": "127.0.0.1",
    "secure-port": String(options.port),
    "cert-dir": options.directory,
    "tls-cert-file": file("tls.crt"),
    "tls-private-key-file": file("tls.key"),
    "client-ca-file": file("ca.crt")
  }
  switch (server) {
    case "kube-apiserver":
      return flags({
        ...common,
        "authorization-mode": "RBAC",
        "service-account-issuer": "https://localhost",
        "service-account-key-file": file("sa.pub"),
        "service-account-signing-key-file": file("sa.key"),
        "service-cluster-ip-range": "10.0.0.0/24",
        "disable-admission-plugins": "ServiceAccount",
        "allow-privileged": "true",
        // Without it the server looks for the default route, which some machines do not have.
        "advertise-address": "127.0.0.1",
        "endpoint-reconciler-type": "none"
      })
    case "apiextensions-apiserver":
      return flags({
        ...common,
        "authentication-skip-lookup": "true",
        "authentication-kubeconfig": file("kubeconfig"),
        "authorization-kubeconfig": file("kubeconfig"),
        kubeconfig: file("kubeconfig"),
        "enable-priority-and-fairness": "false",
        "disable-admission-plugins":
          "NamespaceLifecycle,MutatingAdmissionPolicy,MutatingAdmissionWebhook,ValidatingAdmissionPolicy,ValidatingAdmissionWebhook"
      })
  }
}

const flags = (values: Readonly<Record<string, string>>): ReadonlyArray<string> =>
  Object.entries(values).map(([name, value]) => `--${name}=${value}`)
