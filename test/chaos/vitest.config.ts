/** The long runs, one at a time, because each starts several processes. */
import { resolve } from "node:path"
import { defineConfig } from "vitest/config"

export default defineConfig({
  root: resolve(import.meta.dirname, "../.."),
  test: {
    include: ["test/{chaos,upgrade}/**/*.chaos.ts"],
    fileParallelism: false,
    testTimeout: 600_000 + 1000 * Number(process.env["KUBELOCK_CHAOS_SECONDS"] ?? 25),
    hookTimeout: 60_000,
    teardownTimeout: 30_000
  }
})
