/** What `kubelock serve` does: serves the embedded API server, with a kubeconfig for it. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { rmSync, writeFileSync } from "node:fs"
import { resolve } from "node:path"
import * as ApiServer from "../../testing/ApiServer.ts"
import { type Ended, misused } from "../exitCodes.ts"
import * as signals from "../signals.ts"
import * as target from "../target.ts"
import type { Given } from "./command.ts"

/** Serves until a signal. */
export const run = ({ write }: Given) =>
  Effect.scoped(
    Effect.gen(function* () {
      const { namespace } = yield* target.root
      const signal = yield* signals.next
      const server = yield* ApiServer.make({ namespaces: Option.toArray(namespace) })
      const file = resolve(write)
      yield* written(file, server.kubeConfig)
      yield* Console.log(`${server.url} is served. In another terminal: export KUBECONFIG=${file}`)
      yield* signal
    })
  )

// It may be the only kubeconfig that somebody has: no file is overwritten.
const written = (file: string, kubeConfig: string): Effect.Effect<void, Ended, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => writeFileSync(file, kubeConfig, { flag: "wx", mode: 0o600 }),
      catch: (error) =>
        misused(
          error instanceof Error && "code" in error && error.code === "EEXIST"
            ? `${file} is there already: remove it, or name another file with --write`
            : `${file} cannot be written: name another file with --write`
        )
    }),
    () => Effect.sync(() => rmSync(file, { force: true }))
  )
