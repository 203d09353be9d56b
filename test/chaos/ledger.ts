/**
 * All that the witness was told, and what it proves: plain data, no clock.
 *
 * **Details**
 *
 * - The fence: a write is refused whose token is smaller than one already seen. Without a fence it passes, and counts.
 * - Exclusion is judged apart from the fence, by the moments at which holders called their lock valid: of two stays the
 *   one with the smaller token was granted first, so it must not call itself valid once the other has.
 */
import type { Claim, Ending, Testimony } from "./testimony.ts"

/** One acquisition, from its first write to the last that is known of it. */
export interface Stay {
  readonly name: string
  readonly holder: string
  readonly token: bigint
  readonly entered: number
  /** The last moment at which the holder called its lock valid. */
  lastValid: number
  /** Its last write that was not stale. */
  lastWrite: number
  end: { readonly how: "Left" | "Crashed" | Ending["how"]; readonly at: number } | undefined
}

/** A process that was killed while it held the lock, and when the next one came in. */
export interface Crash {
  readonly name: string
  readonly token: bigint
  readonly at: number
  readonly next: number | undefined
}

/**
 * What the records prove.
 *
 * - `stays`: all acquisitions, by token.
 * - `staleRefused`, `staleAccepted`: writes with a smaller token than one already seen.
 * - `bothValid`: pairs of stays that both called their lock valid at one moment.
 * - `sharedTokens`: acquisitions with the token of another.
 * - `overlaps`: stays that had not ended when the next one began, by how they ended: they noticed the loss themselves,
 *   the fence refused them, they were killed or told to stop first, or (`Unaccounted`) none of these.
 * - `losses`: by reason. `failures`: acquisitions that failed, by tag.
 * - `longestGap`: the longest time in which nobody was known to hold the lock.
 */
export interface Findings {
  readonly stays: ReadonlyArray<Stay>
  readonly writes: number
  readonly staleRefused: number
  readonly staleAccepted: number
  readonly bothValid: ReadonlyArray<readonly [Stay, Stay]>
  readonly sharedTokens: number
  readonly overlaps: Readonly<Record<string, number>>
  readonly losses: Readonly<Record<string, number>>
  readonly failures: Readonly<Record<string, number>>
  readonly longestGap: number
  readonly crashes: ReadonlyArray<Crash>
}

export class Ledger {
  readonly #stays = new Map<string, Stay>()
  readonly #losses = new Map<string, number>()
  readonly #failures = new Map<string, number>()
  readonly #crashes: Array<Stay> = []
  #newest = 0n
  #writes = 0
  #staleRefused = 0
  #staleAccepted = 0

  /** Takes a testimony. Answers false where it is a write that the fence refuses. */
  take(testimony: Testimony): boolean {
    switch (testimony._tag) {
      case "Claim":
        return this.#claim(testimony)
      case "Ending": {
        if (testimony.how === "Lost") count(this.#losses, testimony.reason ?? "no reason")
        const stay = this.#stays.get(testimony.holder)
        if (stay !== undefined) stay.end ??= { how: testimony.how, at: testimony.at }
        return true
      }
      case "Failure":
        count(this.#failures, testimony.tag)
        return true
    }
  }

  /** Records that a process was killed. */
  crashed(name: string, at: number): void {
    for (const stay of this.#stays.values()) {
      if (stay.name !== name || stay.end !== undefined) continue
      stay.end = { how: "Crashed", at }
      if (stay.token === this.#newest) this.#crashes.push(stay)
    }
  }

  /** The process inside, as far as is known. */
  get inside(): string | undefined {
    return [...this.#stays.values()].find((stay) => stay.token === this.#newest && stay.end === undefined)?.name
  }

  /** When each process entered last. */
  get lastEntered(): ReadonlyMap<string, number> {
    const entered = new Map<string, number>()
    for (const stay of this.#stays.values()) {
      entered.set(stay.name, Math.max(stay.entered, entered.get(stay.name) ?? 0))
    }
    return entered
  }

  get findings(): Findings {
    const stays = [...this.#stays.values()].toSorted((a, b) => (a.token < b.token ? -1 : a.token > b.token ? 1 : 0))
    const bothValid: Array<readonly [Stay, Stay]> = []
    const overlaps = new Map<string, number>()
    let longestGap = 0
    let lastWrite = stays[0]?.entered ?? 0
    for (const [index, older] of stays.entries()) {
      longestGap = Math.max(longestGap, older.entered - lastWrite)
      lastWrite = Math.max(lastWrite, older.lastWrite)
      const newer = stays.slice(index + 1)
      for (const stay of newer) {
        if (older.lastValid >= stay.entered) bothValid.push([older, stay])
      }
      if (newer.some((stay) => stay.entered < (older.end?.at ?? Number.POSITIVE_INFINITY))) {
        const how = older.end?.how ?? "Left"
        count(overlaps, how === "Left" ? "Unaccounted" : how)
      }
    }
    return {
      stays,
      writes: this.#writes,
      staleRefused: this.#staleRefused,
      staleAccepted: this.#staleAccepted,
      bothValid,
      sharedTokens: stays.length - new Set(stays.map(({ token }) => token)).size,
      overlaps: Object.fromEntries(overlaps),
      losses: Object.fromEntries(this.#losses),
      failures: Object.fromEntries(this.#failures),
      longestGap,
      crashes: this.#crashes.map(({ end, name, token }) => ({
        name,
        token,
        at: end!.at,
        next: stays.find((stay) => stay.token > token)?.entered
      }))
    }
  }

  #claim(claim: Claim): boolean {
    const { at, checked, fenced, holder, name, step, token } = claim
    let stay = this.#stays.get(holder)
    if (stay === undefined) {
      stay = { name, holder, token, entered: at, lastValid: 0, lastWrite: at, end: undefined }
      this.#stays.set(holder, stay)
    }
    if (checked) stay.lastValid = at
    if (token < this.#newest) {
      if (fenced) {
        this.#staleRefused++
        return false
      }
      this.#staleAccepted++
    } else {
      this.#newest = token
      stay.lastWrite = at
    }
    this.#writes++
    if (step === "Leave") stay.end ??= { how: "Left", at }
    return true
  }
}

const count = (counts: Map<string, number>, key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1)
