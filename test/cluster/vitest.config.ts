/** The suites on real API servers, one file at a time: two cores can run one cluster, but not three. */
import { resolve } from "node:path"
import { defineConfig } from "vitest/config"

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
