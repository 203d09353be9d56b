/** What messages are about: a lock, permits, the leadership of an election, or a session, with the object that it is on. */

/** What it is. */
export type What = "lock" | "leadership" | "session" | "semaphore" | "shared lock"

/** Its id, the object, and what it is: a lock by default. */
export interface Subject {
  readonly id: string
  readonly object: string
  readonly what?: What
}

const nouns: Readonly<Record<What, string>> = {
  lock: "lock",
  leadership: "leadership of",
  session: "session",
  semaphore: "permits of semaphore",
  "shared lock": "shared lock"
}

/** The words for it, as a part of a sentence. */
export const of = ({ id, object, what = "lock" }: Subject): string => `${nouns[what]} ${JSON.stringify(id)} (${object})`
