/**
 * All that runners reported of the shards of a group: a ledger for each shard, since each has one runner at a time, and the machine ids
 * of the runners. Plain data, no clock.
 */
import * as exclusion from "../../src/testing/internal/exclusion.ts"
import { type Book, type Findings, Ledger, type Served, type Stay } from "./ledger.ts"
import * as settings from "./settings.ts"
import type { Testimony } from "./testimony.ts"

/** The book of so many shards, whose numbers begin with 1. */
export class ShardLedger implements Book {
  readonly #ledgers: ReadonlyArray<Ledger>

  constructor(shards: number) {
    this.#ledgers = Array.from({ length: shards }, () => new Ledger())
  }

  take(testimony: Testimony): boolean {
    // An acquisition that failed is of no shard in particular.
    const { shard = 1 } = testimony._tag === "Claim" || testimony._tag === "Ending" ? testimony : {}
    return this.#ledgers[shard - 1]!.take(testimony)
  }

  crashed(name: string, at: number): void {
    for (const ledger of this.#ledgers) ledger.crashed(name, at)
  }

  get inside(): string | undefined {
    return this.#ledgers.find(({ inside }) => inside !== undefined)?.inside
  }

  get served(): ReadonlyArray<Served> {
    return this.#ledgers.flatMap(({ served }) => served)
  }

  get lastServed(): ReadonlyMap<string, number> {
    const latest = new Map<string, number>()
    for (const { lastServed } of this.#ledgers) {
      for (const [name, at] of lastServed) latest.set(name, Math.max(at, latest.get(name) ?? 0))
    }
    return latest
  }

  get findings(): Findings {
    const all = this.#ledgers.map(({ findings }) => findings)
    const stays = all.flatMap(({ stays }) => stays)
    const sum = (of: (findings: Findings) => number) => all.reduce((sum, findings) => sum + of(findings), 0)
    const total = (of: (findings: Findings) => Readonly<Record<string, number>>) => {
      const keys = new Set(all.flatMap((findings) => Object.keys(of(findings))))
      return Object.fromEntries(Array.from(keys, (key) => [key, sum((findings) => of(findings)[key] ?? 0)]))
    }
    return {
      stays,
      writes: sum(({ writes }) => writes),
      writeTimes: all.flatMap(({ writeTimes }) => writeTimes),
      staleRefused: 0,
      staleAccepted: 0,
      late: sum(({ late }) => late),
      exclusion: { overlaps: all.flatMap(({ exclusion }) => exclusion.overlaps), disorder: [] },
      overlaps: total(({ overlaps }) => overlaps),
      losses: total(({ losses }) => losses),
      failures: total(({ failures }) => failures),
      longestGap: Math.max(...all.map(({ longestGap }) => longestGap)),
      crashes: all.flatMap(({ crashes }) => crashes),
      runs: { recorded: 0, repeated: 0, undone: 0 },
      machineIds: machineIdsShared(stays)
    }
  }
}

/** A runner has its machine id for as long as it may call a shard its own. */
const machineIdsShared = (stays: ReadonlyArray<Stay>): number => {
  const known = stays.filter(({ machine }) => machine !== undefined)
  const pairs = Array.from(Map.groupBy(known, ({ machine }) => machine).values()).flatMap((stays) =>
    exclusion
      .check(stays.map(({ entered, lastValid, name }) => ({ name, start: entered, end: lastValid ?? entered })))
      .overlaps.filter(({ earlier, later }) => earlier.name !== later.name)
  )
  return new Set(pairs.map(({ earlier, later }) => [earlier.name, later.name].toSorted().join())).size
}

/** The book of a kind. */
export const bookOf = (kind: settings.Kind): Book =>
  kind === "shards" ? new ShardLedger(settings.shards) : new Ledger(settings.limits[kind])
