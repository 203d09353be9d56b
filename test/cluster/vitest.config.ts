/** The suites on real API servers, one file at a time: two cores can run one cluster, but not three. */
import { join, resolve } from "node:path"
import { defineConfig } from "vitest/config"

// With compiled code at hand each of the many processes starts in little more than half the time.
process.env["NODE_COMPILE_CACHE"] ??= join(import.meta.dirname, "../../node_modules/.cache/node")

// API servers start with a tenth less CPU time if their collector runs less often.
process.env["GOGC"] ??= "400"

export default defineConfig({
  root: resolve(import.meta.dirname, "../.."),
  test: {
    include: ["{bench,test}/**/*.cluster.test.ts"],
    fileParallelism: false,
    // These guard against hanging. No test relies on them, and a busy machine may be slow.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 30_000,
    silent: "passed-only"
  }
})
