/** `npm test`: everything that needs no API server of its own. */
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { defineConfig } from "vitest/config"

// Tests start some sixty processes. With compiled code at hand each of them starts in little more than half the time.
process.env["NODE_COMPILE_CACHE"] ??= join(import.meta.dirname, "node_modules/.cache/node")

export default defineConfig({
  test: {
    include: ["{bench,test,tools}/**/*.test.ts"],
    exclude: ["**/*.cluster.test.ts", "**/node_modules/**"],
    // One more than there are cores: some files wait for processes and for real time, and use little of a core.
    maxWorkers: availableParallelism() + 1,
    // The files of a worker share their modules: loading Effect again for each file takes a quarter of a second.
    isolate: false,
    // Node runs the sources as they are. It is also faster: every import through Vite's runner is a getter.
    experimental: { viteModuleRunner: false, nodeLoader: false },
    execArgv: ["--conditions=kubelock-source", "--disable-warning=ExperimentalWarning"],
    // These guard against hanging. No test relies on them, and a busy machine may be slow.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // One line a file, and nothing from a test that passes.
    slowTestThreshold: 300_000,
    silent: "passed-only"
  }
})
