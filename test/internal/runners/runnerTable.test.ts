import { assert, describe, it } from "@effect/vitest"
import * as runnerTable from "../../../src/internal/runners/runnerTable.ts"
import type { Data } from "../../../src/internal/runners/shardMap.ts"

const registration = (session: string, address = `${session}:1`): runnerTable.Registration => ({
  address,
  runner: JSON.stringify({ address }),
  healthy: true,
  session
})
const register = (data: Data, one: runnerTable.Registration) =>
  runnerTable.register(data, one, (session) => session === one.session)
const tableOf = (...sessions: ReadonlyArray<string>): Data =>
  sessions.reduce<Data>((data, session) => register(data, registration(session)).data, {})

describe("the table of runners", () => {
  it("gives the smallest machine id that is free, and the same one to the same session", () => {
    const data = runnerTable.remove(tableOf("a", "b", "c"), "b")
    assert.strictEqual(register(data, registration("c")).id, 2)
    assert.strictEqual(register(data, registration("d")).id, 1)
  })

  it("has 1024 machine ids", () => {
    const [entry] = Object.values(tableOf("a"))
    const data = Object.fromEntries(Array.from({ length: 1024 }, (_, id) => [id, entry!.replaceAll("a", `s${id}`)]))
    assert.deepStrictEqual(register(data, registration("late")), { data, id: undefined })
  })

  it("keeps the machine id of a runner that unregistered, and of an entry that cannot be read", () => {
    const data = runnerTable.unregister({ ...tableOf("a"), 1: "garbled" }, "a:1", () => true)
    assert.deepStrictEqual(runnerTable.registered(data), [])
    assert.strictEqual(register(data, registration("b")).id, 2)
    assert.strictEqual(register(data, registration("a")).id, 0)
  })

  it("keeps the machine id of a runner whose session was replaced by another one of its own", () => {
    const data = tableOf("a", "b")
    const again = runnerTable.register(data, registration("a2", "a:1"), (session) => session.startsWith("a"))
    assert.strictEqual(again.id, 0)
    assert.deepStrictEqual(
      runnerTable.registered(again.data).map(({ session }) => session),
      ["a2", "b"]
    )
  })

  it("takes the address from another runner that is registered under it", () => {
    const { data, id } = register(tableOf("a"), registration("b", "a:1"))
    assert.strictEqual(id, 1)
    assert.deepStrictEqual(
      runnerTable.registered(data).map(({ session }) => session),
      ["b"]
    )
    assert.lengthOf(runnerTable.entries(data), 2)
  })

  it("sets the health of one runner", () => {
    const healthOf = (meant: string) =>
      runnerTable
        .registered(runnerTable.setHealth(tableOf("a", "b"), "a:1", false, (session) => session === meant))
        .map(({ healthy }) => healthy)
    assert.deepStrictEqual(healthOf("a"), [false, true])
    assert.deepStrictEqual(healthOf("c"), [true, true])
  })

  it("lets each runner look after one other, in a ring", () => {
    const data = tableOf("a", "b", "c")
    assert.deepStrictEqual(
      ["a", "b", "c"].map((session) => runnerTable.lookedAfterBy(data, session)),
      ["b", "c", "a"]
    )
    assert.strictEqual(runnerTable.lookedAfterBy(runnerTable.remove(data, "b"), "a"), "c")
    assert.isUndefined(runnerTable.lookedAfterBy(tableOf("a"), "a"))
    assert.isUndefined(runnerTable.lookedAfterBy(data, "d"))
  })
})
