/** What the candidates are called on the Lease, and what the time is. */
import * as LockQueue from "../../../src/LockQueue.ts"

/** The holder ID of a candidate of the library. */
export const nameOf = (index: number): string => LockQueue.holderId("candidate", `process0000${index}`, 1)

/** The identity of the client-go. */
export const goName = "go"

/** A tick, in milliseconds since 1970. */
export const millis = (tick: number): number => Date.UTC(2026, 10, 24, 10, 20) + tick * 1000

/** By how many ticks the clock of the client-go is behind. */
export const goBehind = 300
