/** Runs the credential plugin of a kubeconfig's user, as client-go does. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { spawn } from "node:child_process"
import { isatty } from "node:tty"
import { KubeConfigError } from "./kubeConfigError.ts"
import type { ExecPlugin } from "./kubeConfig.ts"

/** What a plugin gives: a token, or a client certificate with its key (PEM), or both. `expiresAt`: Unix time in ms. */
export interface PluginCredentials {
  readonly token: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
  readonly expiresAt: number | undefined
}

/** The cluster as a plugin is told it, with the names of the plugin's API. */
export interface PluginCluster {
  readonly server: string
  readonly "tls-server-name": string | undefined
  readonly "insecure-skip-tls-verify": boolean | undefined
  readonly "certificate-authority-data": string | undefined
  readonly "proxy-url": string | undefined
  readonly "disable-compression": boolean | undefined
  readonly config: unknown
}

/** What to run. `variables` is the environment of this process. */
export interface Options {
  readonly plugin: ExecPlugin
  readonly variables: Readonly<Record<string, string | undefined>>
}

/**
 * Gives the credentials of the plugin, which runs if there are none yet, or if they have expired. The cluster is passed on
 * only if the plugin asks for it.
 */
export type Plugin = (cluster: PluginCluster) => Effect.Effect<PluginCredentials, KubeConfigError>

/** Prepares a plugin. */
export const make = (options: Options): Plugin => {
  let current: PluginCredentials | undefined
  return (cluster) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (current !== undefined && (current.expiresAt ?? Infinity) > now) return Effect.succeed(current)
      return Effect.tap(run(options, cluster), (credentials) =>
        Effect.sync(() => {
          current = credentials
        })
      )
    })
}

/** How long a plugin may run, in milliseconds. Somebody may have to log in meanwhile. Our choice: kubectl sets no limit. */
export const pluginTimeout = 60_000

const run = (
  { plugin, variables }: Options,
  cluster: PluginCluster
): Effect.Effect<PluginCredentials, KubeConfigError> =>
  Effect.gen(function* () {
    const { args = [], apiVersion = "", command = "", env = [], interactiveMode = "IfAvailable" } = plugin
    const fail = (detail: string) => new KubeConfigError({ detail: `the plugin ${command} ${detail}` })
    const hasTerminal = isatty(0)
    if (interactiveMode === "Always" && !hasTerminal) {
      return yield* fail("needs a terminal (interactiveMode is Always), and standard input is none")
    }
    const interactive = interactiveMode !== "Never" && hasTerminal
    const spec = { interactive, ...(plugin.provideClusterInfo === true ? { cluster } : {}) }
    const output = yield* Effect.callback<string, KubeConfigError>((resume) => {
      const cannotRun = (error: unknown) => {
        const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error"
        const hint = plugin.installHint === undefined ? "" : ` (${oneLine(plugin.installHint)})`
        resume(Effect.fail(code === "ENOENT" ? fail(`was not found${hint}`) : fail(`cannot be run: ${code}`)))
      }
      try {
        const child = spawn(command, args, {
          env: {
            ...variables,
            ...Object.fromEntries(env.map(({ name = "", value = "" }) => [name, value])),
            KUBERNETES_EXEC_INFO: JSON.stringify({ apiVersion, kind: "ExecCredential", spec })
          },
          // What the plugin has to tell its user goes there directly, as with kubectl.
          stdio: [interactive ? "inherit" : "ignore", "pipe", "inherit"]
        })
        let output = ""
        child.stdout!.setEncoding("utf8").on("data", (text: string) => (output += text))
        child.on("error", cannotRun)
        child.on("close", (code, signal) =>
          resume(
            code === 0
              ? Effect.succeed(output)
              : Effect.fail(fail(`failed with ${signal ?? `exit code ${String(code)}`}`))
          )
        )
        return Effect.sync(() => child.kill())
      } catch (error) {
        return cannotRun(error)
      }
    }).pipe(
      Effect.timeoutOrElse({
        duration: pluginTimeout,
        orElse: () => fail(`did not end within ${pluginTimeout / 1000} seconds`)
      })
    )
    return yield* Effect.fromResult(Result.mapError(parse(output, apiVersion), fail))
  })

const Answer = Schema.fromJsonString(
  Schema.Struct({
    apiVersion: Schema.String,
    kind: Schema.Literal("ExecCredential"),
    status: Schema.optionalKey(
      Schema.NullOr(
        Schema.Struct({
          token: Schema.optionalKey(Schema.NullOr(Schema.String)),
          clientCertificateData: Schema.optionalKey(Schema.NullOr(Schema.String)),
          clientKeyData: Schema.optionalKey(Schema.NullOr(Schema.String)),
          expirationTimestamp: Schema.optionalKey(Schema.NullOr(Schema.String))
        })
      )
    )
  })
)

// The answer contains secrets. No message quotes it.
const parse = (output: string, apiVersion: string): Result.Result<PluginCredentials, string> => {
  const decoded = Schema.decodeUnknownResult(Answer)(output)
  if (Result.isFailure(decoded)) return Result.fail("did not print an ExecCredential in JSON")
  const { success: answer } = decoded
  if (answer.apiVersion !== apiVersion) {
    return Result.fail(`printed an ExecCredential of ${JSON.stringify(answer.apiVersion)} instead of ${apiVersion}`)
  }
  if (answer.status === undefined || answer.status === null)
    return Result.fail("printed an ExecCredential without status")
  const token = answer.status.token?.trim() || undefined
  const cert = answer.status.clientCertificateData || undefined
  const key = answer.status.clientKeyData || undefined
  if ((cert === undefined) !== (key === undefined)) return Result.fail("printed a certificate or a key, but not both")
  if (token === undefined && cert === undefined) return Result.fail("printed neither a token nor a certificate")
  const { expirationTimestamp } = answer.status
  const expiresAt = expirationTimestamp ? Date.parse(expirationTimestamp) : undefined
  if (expiresAt !== undefined && Number.isNaN(expiresAt))
    return Result.fail("printed an expirationTimestamp that is no time")
  return Result.succeed({ token, cert, key, expiresAt })
}

// Hints come from files that others wrote: no control characters reach the terminal.
const oneLine = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ").trim()
