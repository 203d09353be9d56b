/** What the candidates are called on the Lease, and how far the clock of the client-go is behind. */
import * as LockQueue from "../../../src/LockQueue.ts"

/** The holder ID of a candidate of the library. */
export const nameOf = (index: number): string => LockQueue.holderId("candidate", `process0000${index}`, 1)

/** The identity of the client-go. */
export const goName = "go"

/** By how many ticks the clock of the client-go is behind. */
export const goBehind = 300
