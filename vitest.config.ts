import { defineConfig } from "vitest/config"

const kubelockSource = { conditions: ["kubelock-source", "module", "node", "import", "default"] }

export default defineConfig({
  resolve: kubelockSource,
  ssr: { resolve: kubelockSource },
  test: {
    include: ["{bench,test}/**/*.test.ts"],
    exclude: ["**/*.cluster.test.ts"],
    testTimeout: 30_000
  }
})
