/** What the command line uses of undici, which takes half as long to load as the whole. `package.ts` bundles it in place of the whole. */
export { default as Agent } from "undici/lib/dispatcher/agent.js"
export { default as ProxyAgent } from "undici/lib/dispatcher/proxy-agent.js"
