/** The proof's command, run as a user runs it, on the embedded server. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { execFile } from "node:child_process"
import { join } from "node:path"

const Line = Schema.fromJsonString(
  Schema.Struct({
    rounds: Schema.Int,
    refreshes: Schema.Int,
    revoked: Schema.Int,
    callers: Schema.Int,
    requestsAtStart: Schema.Int,
    requestsPerRotation: Schema.Finite,
    getMillis: Schema.Struct({ p50: Schema.Finite, p99: Schema.Finite }),
    behindMillis: Schema.Struct({ p50: Schema.Finite, p99: Schema.Finite })
  })
)

const proof = (...flags: ReadonlyArray<string>) =>
  Effect.callback<{ readonly code: number; readonly stdout: string; readonly stderr: string }>((resume) => {
    const file = join(import.meta.dirname, "proof.ts")
    const child = execFile(process.execPath, [file, ...flags], (error, stdout, stderr) =>
      resume(Effect.succeed({ code: Number(error?.code ?? 0), stdout, stderr }))
    )
    return Effect.sync(() => child.kill())
  })

const verdict = (stdout: string) => Schema.decodeUnknownEffect(Line)(stdout.trimEnd().split("\n").at(-1))

describe("npm run refresh-proof", () => {
  it.live("threads and processes refresh once for each rotation", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* proof("--rounds=40", "--threads=1", "--processes=1", "--json")
      assert.strictEqual(code, 0, stderr)
      const line = yield* verdict(stdout)
      assert.deepInclude(line, { rounds: 40, refreshes: 40, revoked: 0, callers: 16 })
    })
  )

  it.live("with a provider that takes its time, callers wait for that and little more", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* proof("--rounds=4", "--threads=2", "--upstream=1 second", "--json")
      assert.strictEqual(code, 0, stderr)
      const { behindMillis, getMillis, refreshes, requestsAtStart, requestsPerRotation } = yield* verdict(stdout)
      assert.strictEqual(refreshes, 4)
      assert.isAbove(getMillis.p99, 1000)
      assert.isBelow(behindMillis.p50, getMillis.p50)
      // A service reads, takes the lock, makes sure that it can write, and writes. The other one reads at least.
      assert.isAtLeast(requestsAtStart, 5)
      assert.isBelow(requestsPerRotation, 8)
    })
  )

  it.live("beside services that refresh as Dex does", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* proof("--rounds=10", "--threads=2", "--dex", "--json")
      assert.strictEqual(code, 0, stderr)
      assert.deepInclude(yield* verdict(stdout), { refreshes: 10, revoked: 0, callers: 16 })
    })
  )

  it.live("without the lock the grant is revoked at once, and the exit code says so", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* proof("--threads=2", "--no-lock", "--json")
      assert.strictEqual(code, 1)
      assert.match(stderr, /NOT REFRESHED ONCE/)
      assert.deepInclude(yield* verdict(stdout), { revoked: 1 })
    })
  )
})
