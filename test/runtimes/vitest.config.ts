/** One test at a time: each starts processes. */
import { resolve } from "node:path"
import { defineConfig } from "vitest/config"

export default defineConfig({
  root: resolve(import.meta.dirname, "../.."),
  test: {
    include: ["test/runtimes/*.runtimes.ts"],
    fileParallelism: false,
    // These guard against hanging. No test relies on them, and a busy machine may be slow.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 30_000
  }
})
