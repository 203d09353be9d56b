/** Tools for tests of services that lock. Each module is a namespace. */
export * as ApiServer from "./ApiServer.ts"
export * as Envtest from "./envtest/Envtest.ts"
export * as TestLock from "./TestLock.ts"
