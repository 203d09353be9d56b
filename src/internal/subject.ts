/** What messages are about: a lock, the leadership of an election, or a session, with the object that it is on. */

/** Its id, the object, and what it is: a lock by default. */
export interface Subject {
  readonly id: string
  readonly object: string
  readonly what?: "lock" | "leadership" | "session"
}

/** The words for it, as a part of a sentence. */
export const of = ({ id, object, what }: Subject): string =>
  `${what === "leadership" ? "leadership of" : (what ?? "lock")} ${JSON.stringify(id)} (${object})`
