#!/usr/bin/env node
/** The program `kubelock`. Under the name `kubectl-kubelock` it is a plugin of kubectl. */
import { enableCompileCache, getCompileCacheDir } from "node:module"
import { homedir } from "node:os"
import { join } from "node:path"
import * as compiled from "./compiled.ts"

// With compiled code at hand the program starts in half the time. Only its user can write there, unlike in the folder that Node proposes.
const cache = process.env["XDG_CACHE_HOME"] ?? join(process.env["HOME"] ?? homedir(), ".cache")
// Node.js keeps for all later runs what the first one compiled. A help text that comes first must not leave `run` without its code.
const [own = ""] = process.argv.slice(2).join(" ").split(" -- ")
const verb = own.startsWith("run ") && !/ (--help|-h)( |$)/.test(own) ? "run" : "others"
enableCompileCache?.(process.env["NODE_COMPILE_CACHE"] ?? join(cache, "kubelock", verb))
const folder = getCompileCacheDir?.()
if (folder !== undefined) compiled.load({ file: join(import.meta.dirname, "program.js"), folder })

void import("./main.ts").then(({ main }) => main(process.argv.slice(2)))
