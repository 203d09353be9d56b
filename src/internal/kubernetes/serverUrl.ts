/** The address of an API server. Pure. */
import * as Result from "effect/Result"
import { KubeConfigError } from "./kubeConfigError.ts"

/**
 * - `origin`: the scheme, host and port.
 * - `prefix`: the path before all paths, as a gateway for many clusters has it. Empty or `/…` without a slash at the end.
 */
export interface ServerUrl {
  readonly origin: string
  readonly prefix: string
}

/** Reads the `server` of a kubeconfig. Like kubectl, it drops the query and the fragment. */
export const parse = (server: string): Result.Result<ServerUrl, KubeConfigError> => {
  const url = URL.canParse(server) ? new URL(server) : undefined
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) {
    return refuse(`its server ${JSON.stringify(server)} is not an https URL`)
  }
  if (url.username !== "" || url.password !== "") {
    return refuse(`the URL of its server contains a user or a password; they belong to the user`)
  }
  return Result.succeed({ origin: url.origin, prefix: url.pathname.replace(/\/+$/, "") })
}

const refuse = (detail: string): Result.Result<never, KubeConfigError> => Result.fail(new KubeConfigError({ detail }))
