/** What `kubelock doctor` does: looks at one thing after the other, and says what to do. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as References from "effect/References"
import { existsSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import * as ApiClient from "../../internal/kubernetes/apiClient.ts"
import { KubernetesClient } from "../../KubernetesClient.ts"
import * as ObjectStoreKubernetes from "../../ObjectStoreKubernetes.ts"
import * as Resource from "../../Resource.ts"
import { silently } from "../exitCodes.ts"
import * as target from "../target.ts"
import type { Given } from "./command.ts"
import * as connection from "./connection.ts"
import { failed, type Finding } from "./finding.ts"
import * as probe from "./probe.ts"
import * as rights from "./rights.ts"

/** Looks at the cluster that the flags name, and prints what it finds. */
export const run = (given: Given) =>
  Effect.gen(function* () {
    if (Option.isSome(given.name)) yield* Effect.fromResult(Resource.checkName(given.name.value))
    const found: Array<Finding> = []
    // What is found is printed at once: the next check may take its time.
    const report = (findings: ReadonlyArray<Finding>) => {
      found.push(...findings)
      return given.output === "text" ? Effect.forEach(findings, (finding) => Console.log(textOf(finding))) : Effect.void
    }
    yield* examine(given, report).pipe(
      Effect.catch(({ message }) =>
        report([failed("cluster", message, "Mend this first: nothing else can be looked at.")])
      )
    )
    if (given.output === "json") yield* Console.log(JSON.stringify(found, undefined, 2))
    if (found.some(({ status }) => status === "failed")) yield* silently(1)
    // What the library would warn of is a finding.
  }).pipe(Effect.provideService(References.MinimumLogLevel, "Error"))

const examine = (given: Given, report: (findings: ReadonlyArray<Finding>) => Effect.Effect<unknown>) =>
  Effect.gen(function* () {
    const { resource } = given
    const client = yield* KubernetesClient
    const flags = yield* target.root
    const namespace = yield* target.namespace
    const source = sourceOf(flags.kubeconfig)
    const api = ApiClient.make(client, { requestTimeout: ObjectStoreKubernetes.defaultRequestTimeout, clock: "server" })
    yield* report([
      yield* Effect.mapError(connection.server(api, client.server, namespace, source), ({ message }) => ({
        message: `${client.server}, by ${source}: ${message}`
      }))
    ])
    yield* report([yield* connection.clock(api), yield* connection.http2(client.server), yield* connection.leases(api)])
    yield* report(yield* rights.check(api, resource, namespace, Option.getOrUndefined(given.name)))
    const lacking = yield* rights.missing(api, namespace, resource, probe.verbs)
    yield* report(
      yield* probe.check(resource, lacking, probe.dryRun(api, resource, namespace)).pipe(
        Effect.provide(target.store(resource)),
        Effect.catch(({ message }) =>
          Effect.succeed([failed("writes", message, "Mend this: locks write in the same way.")])
        )
      )
    )
  }).pipe(Effect.provide(target.client))

const sourceOf = (file: Option.Option<string>): string => {
  if (Option.isSome(file)) return file.value
  const named = process.env["KUBECONFIG"]
  if (named !== undefined && named !== "") return `KUBECONFIG (${named})`
  const usual = join(process.env["HOME"] ?? homedir(), ".kube", "config")
  return existsSync(usual) ? usual : "the service account of the pod"
}

const marks: Readonly<Record<Finding["status"], string>> = { ok: "ok", advice: "note", failed: "FAIL", skipped: "-" }

const textOf = ({ check, detail, remedy, status }: Finding): string =>
  `${marks[status].padEnd(6)}${check.padEnd(22)}${detail}${remedy === undefined ? "" : `${detail.endsWith(".") ? "" : "."} ${remedy}`}`
