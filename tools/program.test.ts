import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"

const lines = 200_000

const program = `
  const [program, Command, Console, Effect] = await Promise.all(
    ["${new URL("program.ts", import.meta.url)}", "effect/cli/Command", "effect/Console", "effect/Effect"].map((name) => import(name))
  )
  const all = Effect.all([Console.error, Console.log].map((log) => log("line\\n".repeat(${lines}).trimEnd())))
  program.run(Command.make("program", {}, () => Effect.andThen(all, Effect.fail(new Error("no")))), [])
`

describe("a program that fails", () => {
  it("has written all that it had to say before it ends", async () => {
    const { code, stderr, stdout } = await new Promise<{ code: unknown; stderr: string; stdout: string }>((resolve) => {
      execFile(
        process.execPath,
        ["--input-type=module", "--eval", program],
        { cwd: import.meta.dirname, maxBuffer: 2 ** 24 },
        (error, stdout, stderr) => resolve({ code: error?.code, stderr, stdout })
      )
    })
    assert.strictEqual(code, 1)
    assert.lengthOf(stdout.trimEnd().split("\n"), lines)
    assert.lengthOf(stderr.trimEnd().split("\n"), lines + 1)
  })
})
