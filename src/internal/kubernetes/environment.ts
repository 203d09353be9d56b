/** What the environment of the process says about the cluster. A service of its own, so that tests can replace it. */
import * as Context from "effect/Context"
import { homedir } from "node:os"

/** The environment variables, the home directory, and the directory of the pod's service account. */
export interface Environment {
  readonly variables: Readonly<Record<string, string | undefined>>
  readonly home: string
  readonly serviceAccount: string
}

/** The environment of this process. */
export const Environment = Context.Reference<Environment>("kubelock/KubernetesClient/Environment", {
  defaultValue: () => ({
    variables: process.env,
    // kubectl asks HOME alone.
    home: process.env["HOME"] ?? homedir(),
    serviceAccount: "/var/run/secrets/kubernetes.io/serviceaccount"
  })
})
