/** `npm run test:site`: builds the site and walks through it. */
import { resolve } from "node:path"
import { defineConfig } from "vitest/config"

export default defineConfig({
  root: resolve(import.meta.dirname, "../.."),
  test: {
    include: ["tools/site/*.site.ts"],
    globalSetup: ["tools/site/build.ts"],
    fileParallelism: false,
    // These guard against hanging. No test relies on them, and a busy machine may be slow.
    testTimeout: 1_800_000,
    hookTimeout: 1_800_000,
    experimental: { viteModuleRunner: false, nodeLoader: false },
    execArgv: ["--conditions=kubelock-source", "--disable-warning=ExperimentalWarning"]
  }
})
