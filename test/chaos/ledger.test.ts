import { assert, describe, it } from "@effect/vitest"
import { Ledger } from "./ledger.ts"
import type { Claim, Ending } from "./testimony.ts"

const claim = (name: string, token: bigint, at: number, more: Partial<Claim> = {}): Claim => ({
  _tag: "Claim",
  name,
  holder: `${name}/${token}`,
  token,
  at,
  step: "Write",
  checked: true,
  fenced: true,
  ...more
})

const ending = (name: string, token: bigint, at: number, how: Ending["how"]): Ending => ({
  _tag: "Ending",
  name,
  holder: `${name}/${token}`,
  token,
  at,
  how,
  ...(how === "Lost" ? { reason: "Expired" } : {})
})

describe("the ledger", () => {
  it("finds nothing wrong with holders that follow each other, and measures the gap between them", () => {
    const ledger = new Ledger()
    assert.isTrue(ledger.take(claim("a", 1n, 0, { step: "Enter" })))
    assert.isTrue(ledger.take(claim("a", 1n, 10, { step: "Leave" })))
    assert.isUndefined(ledger.inside)
    assert.isTrue(ledger.take(claim("b", 2n, 15, { step: "Enter" })))
    assert.strictEqual(ledger.inside, "b")
    const { bothValid, longestGap, overlaps, staleAccepted, staleRefused } = ledger.findings
    assert.deepStrictEqual(
      { bothValid, longestGap, overlaps, staleAccepted, staleRefused },
      { bothValid: [], longestGap: 5, overlaps: {}, staleAccepted: 0, staleRefused: 0 }
    )
  })

  it("refuses a stale write under the fence, and counts it where there is none", () => {
    const ledger = new Ledger()
    ledger.take(claim("a", 1n, 0))
    ledger.take(claim("b", 2n, 10))
    assert.isFalse(ledger.take(claim("a", 1n, 20, { checked: false })))
    assert.isTrue(ledger.take(claim("a", 1n, 20, { checked: false, fenced: false })))
    assert.deepInclude(ledger.findings, { staleRefused: 1, staleAccepted: 1, writes: 3, bothValid: [] })
  })

  it("sees two that were valid at one moment, in whatever order it hears of it", () => {
    const ledger = new Ledger()
    ledger.take(claim("b", 2n, 10))
    ledger.take(claim("a", 1n, 5))
    assert.lengthOf(ledger.findings.bothValid, 0)
    ledger.take(claim("a", 1n, 11))
    assert.lengthOf(ledger.findings.bothValid, 1)
  })

  it("tells how those ended that were overtaken, and misses those that say nothing", () => {
    const ledger = new Ledger()
    for (const [index, name] of ["lost", "refused", "crashed", "silent", "last"].entries()) {
      ledger.take(claim(name, BigInt(index), index))
    }
    ledger.take(ending("lost", 0n, 20, "Lost"))
    ledger.take(ending("refused", 1n, 20, "Refused"))
    ledger.crashed("crashed", 20)
    assert.deepInclude(ledger.findings, {
      overlaps: { Lost: 1, Refused: 1, Crashed: 1, Unaccounted: 1 },
      losses: { Expired: 1 }
    })
  })

  it("tells who came after a crash", () => {
    const ledger = new Ledger()
    ledger.take(claim("a", 1n, 0))
    ledger.crashed("a", 4)
    ledger.crashed("b", 4)
    assert.deepStrictEqual(ledger.findings.crashes, [{ name: "a", token: 1n, at: 4, next: undefined }])
    ledger.take(claim("b", 2n, 9))
    assert.deepInclude(ledger.findings.crashes[0], { at: 4, next: 9 })
  })

  it("notices a shared token", () => {
    const ledger = new Ledger()
    ledger.take(claim("a", 1n, 0))
    ledger.take(claim("b", 1n, 5))
    assert.strictEqual(ledger.findings.sharedTokens, 1)
  })
})
