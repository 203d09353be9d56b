import { assert, it } from "@effect/vitest"
import { Provider } from "./provider.ts"

it("the provider counts rotations, and finds the value that is spent twice", () => {
  const provider = new Provider()
  assert.deepStrictEqual([provider.spend("a", 0), provider.spend("b", 1)], [1, 2])
  assert.isEmpty(provider.reuses)
  assert.strictEqual(provider.spend("a", 1), 2)
  assert.strictEqual(provider.rotations, 2)
  assert.deepInclude(provider.reuses[0], { generation: 1, first: "b", second: "a" })
})
