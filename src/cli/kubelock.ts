#!/usr/bin/env node
/** The program `kubelock`. Under the name `kubectl-kubelock` it is a plugin of kubectl. */
import * as NodeModule from "node:module"
import { homedir } from "node:os"
import { join } from "node:path"

// With compiled code at hand the program starts in half the time. Only its user can write there, unlike in the folder that Node proposes.
const cache = process.env["XDG_CACHE_HOME"] ?? join(process.env["HOME"] ?? homedir(), ".cache")
NodeModule.enableCompileCache?.(process.env["NODE_COMPILE_CACHE"] ?? join(cache, "kubelock"))

const { main } = await import("./main.ts")
main(process.argv.slice(2))
