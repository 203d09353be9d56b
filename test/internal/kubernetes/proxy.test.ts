/** Which proxy the environment names, by the rules of Go's `httpproxy`. */
import { assert, describe, it } from "@effect/vitest"
import * as Proxy from "../../../src/internal/kubernetes/proxy.ts"

const proxied = (origin: string, variables: Readonly<Record<string, string>>) =>
  Proxy.fromEnvironment({ HTTPS_PROXY: "http://p:1", ...variables }, origin) !== undefined

describe("the proxy of the environment", () => {
  it("is HTTPS_PROXY for https and HTTP_PROXY for http, in upper or lower case", () => {
    const variables = { HTTPS_PROXY: "http://s", http_proxy: "h:3128" }
    assert.strictEqual(Proxy.fromEnvironment(variables, "https://a"), "http://s")
    assert.strictEqual(Proxy.fromEnvironment(variables, "http://a"), "http://h:3128")
    assert.isUndefined(Proxy.fromEnvironment({}, "https://a"))
  })

  it("is not used for the loopback interface", () => {
    for (const host of ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
      assert.isFalse(proxied(`https://${host}:6443`, {}))
  })

  const exceptions: ReadonlyArray<
    readonly [noProxy: string, excepted: ReadonlyArray<string>, not: ReadonlyArray<string>]
  > = [
    ["*", ["a.example", "10.0.0.1"], []],
    ["example", ["example", "a.example"], ["aexample"]],
    [".example", ["a.example"], ["example"]],
    ["*.example", ["a.example"], ["example"]],
    [" B.Example , other", ["b.example", "x.other"], ["example"]],
    ["a.example:6443", ["a.example:6443"], ["a.example", "a.example:6444"]],
    ["a.example:443", ["a.example"], []],
    ["10.0.0.1", ["10.0.0.1", "10.0.0.1:6443"], ["10.0.0.11", "10.0.0.2"]],
    ["10.0.0.1:6443", ["10.0.0.1:6443"], ["10.0.0.1"]],
    ["10.0.0.0/8", ["10.1.2.3"], ["11.0.0.1", "a.example", "[fd00::1]"]],
    ["fd00::/8", ["[fd00::1]:6443"], ["[fe00::1]", "10.0.0.1"]],
    ["fd00::1,[fd00::2]:6443", ["[fd00::1]", "[fd00::2]:6443"], ["[fd00::2]"]],
    ["10.0.0.0/99,x/8,,", [], ["10.0.0.1", "x"]]
  ]
  for (const [noProxy, excepted, not] of exceptions) {
    it(`is not used for what NO_PROXY=${JSON.stringify(noProxy)} means`, () => {
      for (const host of excepted) assert.isFalse(proxied(`https://${host}`, { NO_PROXY: noProxy }), host)
      for (const host of not) assert.isTrue(proxied(`https://${host}`, { no_proxy: noProxy }), host)
    })
  }
})
