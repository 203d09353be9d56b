import { assert, describe, it } from "@effect/vitest"
import * as Fences from "./fences.ts"
import { type Book, brokenBesides, Ledger, unserved, writtenAgain } from "./ledger.ts"
import { ShardLedger } from "./shardLedger.ts"
import { type Claim, type Ending, revivedTag, type Run } from "./testimony.ts"

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

/** What a process is told of a run: without a token, that it was done before. */
const run = (name: string, due: number, at: number, token?: bigint): Run => ({
  _tag: "Run",
  name,
  due,
  at,
  ...(token === undefined ? {} : { holder: `${name}/${token}` })
})

/** The work of a run, from its beginning to its end. */
const work = (ledger: Ledger, name: string, token: bigint, due: number, at: number): void => {
  ledger.take(claim(name, token, at, { step: "Enter", due }))
  ledger.take(claim(name, token, at + 1, { step: "Leave", due }))
}

/** A write of a runner to a shard, in its stay of this number. */
const write = (name: string, stay: number, shard: number, at: number, more: Partial<Claim> = {}): Claim => ({
  _tag: "Claim",
  name,
  holder: `${name}/${stay}`,
  shard,
  at,
  step: "Write",
  checked: true,
  fenced: true,
  ...more
})

/** Its findings about exclusion, as names: the earlier stay, then the later one. */
const exclusion = (ledger: Book) => {
  const { disorder, overlaps } = ledger.findings.exclusion
  const names = (pairs: typeof overlaps) => pairs.map(({ earlier, later }) => `${earlier.stay.name} ${later.stay.name}`)
  return { overlaps: names(overlaps), disorder: names(disorder) }
}

describe("the ledger", () => {
  it("finds nothing wrong with holders that follow each other, and measures the gap between them", () => {
    const ledger = new Ledger()
    assert.isTrue(ledger.take(claim("a", 1n, 0, { step: "Enter" })))
    assert.isTrue(ledger.take(claim("a", 1n, 10, { step: "Leave" })))
    assert.isUndefined(ledger.inside)
    assert.isTrue(ledger.take(claim("b", 2n, 15, { step: "Enter" })))
    assert.strictEqual(ledger.inside, "b")
    assert.deepInclude(ledger.findings, {
      exclusion: { overlaps: [], disorder: [] },
      longestGap: 5,
      overlaps: {},
      staleAccepted: 0,
      staleRefused: 0
    })
  })

  it("refuses a stale write under the fence, and counts one that comes without the fence", () => {
    const ledger = new Ledger()
    ledger.take(claim("a", 1n, 0))
    ledger.take(claim("b", 2n, 10))
    assert.isFalse(ledger.take(claim("a", 1n, 20, { checked: false })))
    assert.isTrue(ledger.take(claim("a", 1n, 20, { checked: false, fenced: false })))
    assert.deepInclude(ledger.findings, {
      staleRefused: 1,
      staleAccepted: 1,
      writes: 3,
      exclusion: { overlaps: [], disorder: [] }
    })
  })

  it("finds two stays that were valid at the same moment, in whatever order it hears of them", () => {
    const ledger = new Ledger()
    ledger.take(claim("b", 2n, 10))
    ledger.take(claim("a", 1n, 5))
    assert.deepStrictEqual(exclusion(ledger), { overlaps: [], disorder: [] })
    ledger.take(claim("a", 1n, 11))
    assert.deepStrictEqual(exclusion(ledger), { overlaps: ["a b"], disorder: [] })
  })

  it("finds a stay that calls its lock valid although a newer one has entered", () => {
    const ledger = new Ledger()
    ledger.take(claim("b", 2n, 10))
    ledger.take(claim("a", 1n, 20))
    assert.deepStrictEqual(exclusion(ledger), { overlaps: [], disorder: ["b a"] })
  })

  it("finds a stay that enters while an older one is valid, also if it never asks whether it is valid itself", () => {
    const ledger = new Ledger()
    ledger.take(claim("a", 1n, 0))
    ledger.take(claim("b", 2n, 10, { checked: false }))
    ledger.take(claim("a", 1n, 20))
    assert.deepStrictEqual(exclusion(ledger), { overlaps: ["a b"], disorder: [] })
  })

  it("leaves to the fence a stay that enters late and never asks whether its lock is valid", () => {
    const ledger = new Ledger()
    ledger.take(claim("b", 2n, 10))
    ledger.take(claim("a", 1n, 20, { checked: false }))
    ledger.take(claim("b", 2n, 30))
    assert.deepStrictEqual(exclusion(ledger), { overlaps: [], disorder: [] })
    assert.strictEqual(ledger.findings.staleRefused, 1)
  })

  it("counts stays that others overtook by how they ended, and as unaccounted if it never heard", () => {
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

  it("knows the holder that came after a crash, and when it entered", () => {
    const ledger = new Ledger()
    ledger.take(claim("a", 1n, 0))
    ledger.crashed("a", 4)
    ledger.crashed("b", 4)
    assert.deepStrictEqual(ledger.findings.crashes, [{ name: "a", token: 1n, at: 4, idleSince: 4, next: undefined }])
    ledger.take(claim("b", 2n, 9))
    assert.deepInclude(ledger.findings.crashes[0], { at: 4, next: 9 })
  })

  describe("of permits", () => {
    const one = { permits: 1 }
    const all = { permits: 2 }
    const permits = () => new Ledger(2)

    it("finds nothing wrong with as many as the limit, whatever the order of their tokens", () => {
      const ledger = permits()
      assert.isTrue(ledger.take(claim("a", 2n, 0, one)))
      assert.isTrue(ledger.take(claim("b", 1n, 1, one)))
      assert.isTrue(ledger.take(claim("a", 2n, 2, one)))
      assert.strictEqual(ledger.inside, "a")
      ledger.take(claim("a", 2n, 3, { ...one, step: "Leave" }))
      assert.strictEqual(ledger.inside, "b")
      ledger.take(claim("b", 1n, 4, { ...one, step: "Leave" }))
      ledger.take(claim("c", 3n, 5, all))
      assert.deepInclude(ledger.findings, { exclusion: { overlaps: [], disorder: [] }, overlaps: {}, staleRefused: 0 })
    })

    it("finds one more than the limit", () => {
      const ledger = permits()
      ledger.take(claim("a", 1n, 0, one))
      ledger.take(claim("b", 2n, 1, all))
      ledger.take(claim("a", 1n, 2, { ...one, fenced: false }))
      assert.deepStrictEqual(exclusion(ledger), { overlaps: ["a b"], disorder: [] })
      assert.deepInclude(ledger.findings, { overlaps: { Unaccounted: 1 }, staleAccepted: 1 })
    })

    it("refuses a stale write after a holder of all permits, and one of a holder of all after any", () => {
      const ledger = permits()
      ledger.take(claim("a", 1n, 0, one))
      ledger.take(claim("b", 2n, 10, all))
      assert.isFalse(ledger.take(claim("a", 1n, 20, { ...one, checked: false })))
      ledger.take(claim("b", 2n, 30, { ...all, step: "Leave" }))
      assert.isTrue(ledger.take(claim("c", 3n, 40, one)))
      assert.isFalse(ledger.take(claim("b", 2n, 50, { ...all, checked: false })))
    })

    it("counts a stay whose permits were taken, and not those beside it", () => {
      const ledger = permits()
      ledger.take(claim("fine", 1n, 0, one))
      ledger.take(claim("crashed", 2n, 1, one))
      ledger.crashed("crashed", 20)
      ledger.take(claim("next", 3n, 10, one))
      assert.deepInclude(ledger.findings.overlaps, { Crashed: 1 })
      assert.notProperty(ledger.findings.overlaps, "Unaccounted")
    })

    it("knows since when nobody was inside before one took all permits after a crash", () => {
      const ledger = permits()
      ledger.take(claim("a", 1n, 0, one))
      ledger.take(claim("b", 2n, 1, one))
      ledger.crashed("a", 4)
      ledger.take(claim("b", 2n, 9, { ...one, step: "Leave" }))
      ledger.take(claim("c", 3n, 12, all))
      assert.deepStrictEqual(ledger.findings.crashes, [{ name: "a", token: 1n, at: 4, idleSince: 9, next: 12 }])
    })
  })

  it("finds a token that two stays share", () => {
    const ledger = new Ledger()
    ledger.take(claim("a", 1n, 0))
    ledger.take(claim("b", 1n, 5))
    assert.deepStrictEqual(exclusion(ledger), { overlaps: [], disorder: ["a b"] })
  })

  it("counts runs that were recorded, and calls all well that were told to be done after somebody had done them", () => {
    const ledger = new Ledger()
    work(ledger, "a", 1n, 10, 0)
    ledger.take(run("a", 10, 5, 1n))
    ledger.take(run("b", 10, 6))
    work(ledger, "b", 3n, 12, 10)
    ledger.take(run("b", 12, 15, 3n))
    assert.deepStrictEqual(ledger.findings.runs, { recorded: 2, repeated: 0, undone: 0 })
  })

  it("finds a run that is begun although it was recorded, in whatever order it hears of that", () => {
    const ledger = new Ledger()
    work(ledger, "a", 1n, 10, 0)
    work(ledger, "b", 2n, 10, 5)
    ledger.take(run("b", 10, 7, 2n))
    assert.strictEqual(ledger.findings.runs.repeated, 0)
    ledger.take(run("a", 10, 6, 1n))
    assert.strictEqual(ledger.findings.runs.repeated, 1)
  })

  it("lets a run be begun again whose record got no answer before another process had made it", () => {
    const ledger = new Ledger()
    work(ledger, "a", 1n, 10, 0)
    work(ledger, "b", 2n, 10, 5)
    ledger.take(run("b", 10, 6, 2n))
    ledger.take(run("a", 10, 7, 1n))
    assert.strictEqual(ledger.findings.runs.repeated, 0)
    work(ledger, "c", 3n, 10, 8)
    assert.strictEqual(ledger.findings.runs.repeated, 1)
  })

  it("finds a run that is begun although a later one was recorded", () => {
    const ledger = new Ledger()
    work(ledger, "a", 1n, 10, 0)
    ledger.take(run("a", 10, 5, 1n))
    work(ledger, "b", 2n, 8, 6)
    assert.strictEqual(ledger.findings.runs.repeated, 1)
  })

  it("lets a run be begun again that was lost before its record", () => {
    const ledger = new Ledger()
    ledger.take(claim("a", 1n, 0, { step: "Enter", due: 10 }))
    ledger.take(ending("a", 1n, 5, "Lost"))
    work(ledger, "b", 2n, 10, 6)
    ledger.take(run("b", 10, 8, 2n))
    assert.strictEqual(ledger.findings.runs.repeated, 0)
  })

  it("finds that a run was called done whose work nobody had ended", () => {
    const ledger = new Ledger()
    ledger.take(claim("a", 1n, 0, { step: "Enter", due: 10 }))
    ledger.take(run("b", 10, 5))
    assert.strictEqual(ledger.findings.runs.undone, 1)
  })

  it("says when each process was served last: when it entered, or was told that its run was done", () => {
    const ledger = new Ledger()
    work(ledger, "a", 1n, 10, 0)
    ledger.take(run("b", 10, 6))
    assert.deepStrictEqual(
      [...ledger.lastServed],
      [
        ["a", 0],
        ["b", 6]
      ]
    )
  })

  it("names who has not been served after a moment, and with what", () => {
    const lock = new Ledger()
    const shards = new ShardLedger(2)
    lock.take(claim("a", 1n, 10))
    lock.take(claim("b", 2n, 5))
    shards.take(write("b", 1, 2, 10))
    assert.deepStrictEqual(unserved({ lock, shards }, ["a", "b"], 5), ["lock/b", "shards/a"])
  })

  describe("of shards, which have no fencing tokens", () => {
    const shards = () => new ShardLedger(2)

    it("finds nothing wrong with runners that follow each other, and with one beside another on another shard", () => {
      const ledger = shards()
      ledger.take(write("a", 1, 1, 0, { step: "Enter" }))
      ledger.take(write("b", 1, 2, 1, { step: "Enter" }))
      ledger.take(write("a", 1, 1, 10, { step: "Leave" }))
      assert.strictEqual(ledger.inside, "b")
      ledger.take(write("b", 2, 1, 15, { step: "Enter" }))
      assert.deepInclude(ledger.findings, {
        exclusion: { overlaps: [], disorder: [] },
        longestGap: 5,
        overlaps: {},
        late: 0,
        writes: 4
      })
    })

    it("finds two runners that relied on one shard at the same moment, in whatever order it hears of them", () => {
      const ledger = shards()
      ledger.take(write("b", 1, 1, 10))
      ledger.take(write("a", 1, 1, 5))
      assert.deepStrictEqual(exclusion(ledger), { overlaps: [], disorder: [] })
      ledger.take(write("a", 1, 1, 11))
      assert.deepStrictEqual(exclusion(ledger), { overlaps: ["a b"], disorder: [] })
    })

    it("accepts what a runner writes after the next one has begun, and counts it", () => {
      const ledger = shards()
      ledger.take(write("a", 1, 1, 0))
      ledger.take(write("b", 1, 1, 10))
      assert.isTrue(ledger.take(write("a", 1, 1, 20, { checked: false })))
      ledger.take({ _tag: "Ending", name: "a", holder: "a/1", shard: 1, at: 21, how: "Lost", reason: "NotNamed" })
      ledger.take({ _tag: "Failure", name: "b", tag: "PersistenceError" })
      assert.deepInclude(ledger.findings, {
        exclusion: { overlaps: [], disorder: [] },
        late: 1,
        staleRefused: 0,
        staleAccepted: 0,
        overlaps: { Lost: 1 },
        losses: { NotNamed: 1 },
        failures: { PersistenceError: 1 }
      })
    })

    it("counts a runner as unaccounted that never reported that it had lost its shard", () => {
      const ledger = shards()
      ledger.take(write("a", 1, 2, 0))
      ledger.take(write("b", 1, 2, 10))
      assert.deepStrictEqual(ledger.findings.overlaps, { Unaccounted: 1 })
    })

    it("knows when each shard of a runner that was killed was taken over", () => {
      const ledger = shards()
      ledger.take(write("a", 1, 1, 0))
      ledger.take(write("a", 2, 2, 1))
      ledger.crashed("a", 4)
      ledger.take(write("b", 1, 2, 9))
      assert.deepStrictEqual(
        ledger.findings.crashes.map(({ next }) => next),
        [undefined, 9]
      )
    })

    it("calls a cluster well again once every shard is written to", () => {
      const ledger = shards()
      ledger.take(write("a", 1, 1, 0))
      ledger.take(write("a", 2, 2, 5))
      ledger.take(write("b", 1, 1, 9))
      assert.strictEqual(writtenAgain(ledger.findings, 5), 9)
      assert.strictEqual(writtenAgain(ledger.findings, 6), Number.POSITIVE_INFINITY)
    })

    it("says when each runner was served last, with whatever shard", () => {
      const ledger = shards()
      ledger.take(write("a", 1, 2, 7))
      ledger.take(write("a", 2, 1, 3))
      ledger.take(write("b", 1, 1, 9))
      assert.deepStrictEqual([...ledger.lastServed].toSorted(), [
        ["a", 7],
        ["b", 9]
      ])
    })

    it("finds that a refresh named a shard that its runner had lost", () => {
      const ledger = shards()
      ledger.take({ _tag: "Failure", name: "a", tag: "PersistenceError" })
      assert.deepStrictEqual(brokenBesides(ledger.findings), [])
      ledger.take({ _tag: "Failure", name: "a", tag: revivedTag })
      assert.deepStrictEqual(brokenBesides(ledger.findings), [
        "1 times a refresh named a shard that its runner had lost"
      ])
    })

    it("finds two runners that had one machine id at the same time", () => {
      const ledger = shards()
      ledger.take(write("a", 1, 1, 0, { machine: 0 }))
      ledger.take(write("a", 2, 2, 1, { machine: 0 }))
      ledger.take(write("a", 1, 1, 4, { machine: 0 }))
      ledger.take(write("a", 2, 2, 5, { machine: 0, step: "Leave" }))
      ledger.take(write("b", 1, 2, 6, { machine: 1 }))
      ledger.take(write("c", 1, 1, 7, { machine: 0 }))
      assert.strictEqual(ledger.findings.machineIds, 0)
      ledger.take(write("b", 2, 2, 10, { machine: 2 }))
      ledger.take(write("c", 2, 1, 11, { machine: 2 }))
      ledger.take(write("b", 2, 2, 12, { machine: 2 }))
      assert.strictEqual(ledger.findings.machineIds, 1)
    })
  })
})

describe("fences of sessions whose shards were taken", () => {
  const entry = "uid-1 runner/1: 1-3"
  const lease = (holderIdentity: string, uid = "uid-1") => ({
    metadata: { uid },
    spec: { holderIdentity, leaseDurationSeconds: 3, renewTime: new Date(10_000).toISOString() }
  })

  it("knows the sessions that have no shards any more", () => {
    const before = { a: entry, b: "uid-2 runner/2: 4" }
    assert.deepStrictEqual(Fences.gone(before, { ...before, a: "uid-1 runner/1: 2" }), [])
    assert.deepStrictEqual(Fences.gone(before, { a: "uid-1 runner/9: 1-3" }), ["a", "b"])
  })

  it("misses one if the Lease names a session that had shards after it had expired", () => {
    assert.isTrue(Fences.isUnfenced(entry, lease("runner/1"), 13_001))
  })

  it("finds nothing wrong with a session that was fenced, and with one that released its shards while it lived", () => {
    assert.isFalse(Fences.isUnfenced(entry, lease(""), 13_001))
    assert.isFalse(Fences.isUnfenced(entry, lease("runner/2"), 13_001))
    assert.isFalse(Fences.isUnfenced(entry, lease("runner/1", "uid-2"), 13_001))
    assert.isFalse(Fences.isUnfenced(entry, lease("runner/1"), 12_999))
  })
})
