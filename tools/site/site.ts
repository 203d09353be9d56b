/** The documentation as a site: `npm run docs`. See `--help`. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { existsSync, watch } from "node:fs"
import { join } from "node:path"
import { toggle, whole } from "../flags.ts"
import { run } from "../program.ts"
import * as pages from "./pages.ts"

/** Runs a program in the folder of the site, until it ends. Its output goes to standard error. */
const execute = (file: string, args: ReadonlyArray<string>) =>
  Effect.callback<void>((resume) => {
    const child = spawn(file, args, { cwd: pages.site, stdio: ["ignore", 2, 2] })
    child.once("error", (error) => resume(Effect.die(error)))
    child.once("exit", (code) =>
      resume(code === 0 ? Effect.void : Effect.die(new Error(`${file} ended with ${code}: see above`)))
    )
    return Effect.sync(() => child.kill())
  })

const install = Effect.suspend(() =>
  existsSync(join(pages.site, "node_modules/.package-lock.json"))
    ? Effect.void
    : Effect.andThen(
        Console.error("Installing what builds the site, once."),
        execute("npm", ["ci", "--no-audit", "--no-fund"])
      )
)

/** Copies pages again whenever one changes. */
const follow = Effect.acquireRelease(
  Effect.sync(() => watch(join(pages.site, "../../docs"), { recursive: true }, () => pages.copy())),
  (watcher) => Effect.sync(() => watcher.close())
)

const flags = {
  build: toggle("build", "Write the site into tools/site/dist instead of serving it"),
  base: Flag.String("base").pipe(
    Flag.withDefault("/"),
    Flag.withDescription("The path under which the site will be served, with a slash at both ends (default /)")
  ),
  port: whole("port", [1, 65_535], "The port to serve on (default 5173)").pipe(Flag.withDefault(5173))
}

const command = Command.make("npm run docs --", flags, ({ base, build, port }) =>
  Effect.gen(function* () {
    yield* install
    yield* Console.error("Making the API reference.")
    yield* Effect.promise(pages.make)
    const vitepress = (...args: ReadonlyArray<string>) =>
      execute(...pages.tool("vitepress/bin/vitepress.js", ...args, "--base", base))
    if (!build) return yield* Effect.scoped(Effect.andThen(follow, vitepress("dev", "--port", String(port))))
    yield* vitepress("build")
    yield* Console.log("The site is in tools/site/dist.")
  })
).pipe(
  Command.withDescription(
    "Serves the pages of docs as a site, with the API reference, and follows changes. The first run installs VitePress into tools/site/node_modules."
  )
)

run(command, process.argv.slice(2))
