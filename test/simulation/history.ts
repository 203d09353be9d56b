/**
 * What happened in a world, in the order in which it happened.
 *
 * Times are true time, in milliseconds since the world began. An acquisition is called by its process and its number
 * there (`p1/3`), whatever the library called it: names in the library are random.
 */

/**
 * The lock as it stands on the object. `until` is its expiry in true time; `owner` is absent where none is named. `unseen` is from when
 * a client-go may take it at the soonest: it has seen it unchanged since it was written. A lock under a `session` lasts until that has
 * ended: `until` is when it did.
 */
export interface LockOn {
  readonly until: number
  readonly owner?: string
  readonly unseen?: number
  readonly session?: string
}

/**
 * The queue as it stands on the object: the line, who arrived, and the process that the label names. What is no name is
 * a question mark.
 */
export interface QueueOn {
  readonly line: ReadonlyArray<string>
  readonly arrivals: ReadonlyArray<string>
  readonly next: string | undefined
}

/**
 * The object at one version. `lock` is what its annotations say, and `queue`; `second` is a lock under another key beside it;
 * `others` are the annotations and labels that are neither; `written` is the acquisition that wrote to the object's content last; `record` is
 * there if the object is the Lease of an election, and `line` if it has permits.
 */
export interface Version {
  readonly version: number
  readonly lock: LockOn | undefined
  readonly second: LockOn | undefined
  readonly queue: QueueOn
  readonly others: Readonly<Record<string, string>>
  readonly written: string | undefined
  readonly record?: Recorded
  readonly line?: LineOn
}

/** A lease in the line of a lock with permits, and how many of its permits it holds. */
export interface LeaseOn {
  readonly owner: string
  readonly permits: number
  readonly place: number
  readonly until: number
  readonly granted: number
}

/** The line of a lock with permits, in the order of places, and what its annotation says that it is. */
export interface LineOn {
  readonly mark: string | undefined
  readonly leases: ReadonlyArray<LeaseOn>
}

/** What a Lease says besides its holder. */
export interface Recorded {
  readonly acquireTime: string | undefined
  readonly renewTime: string | undefined
  readonly leaseDurationSeconds: number | undefined
  readonly leaseTransitions: number | undefined
}

/**
 * How a wish ended. `turn` is the acquisition whose name is on the object: an earlier one of the process, if the lock was
 * passed on within it. `problem` is the error's tag, or says that it is a defect.
 */
export type WishEnd =
  | { readonly _tag: "Granted"; readonly turn: string }
  | { readonly _tag: "Failed"; readonly problem: string; readonly detail: string }
  | { readonly _tag: "GivenUp" }

/**
 * What can happen. `process` is who did it or to whom it was done. `Trouble` may keep a process from its work; what is `Odd` must
 * not. The object is gone after a write whose verb is `delete`. `on` is the object, where there are several. `Kept` is a write to the Lease of a
 * session: the session that it names now, until when that lives, the one that has ended with the write, and the holds that somebody breaks.
 */
export type Happening =
  | { readonly _tag: "Wished"; readonly acquisition: string; readonly permits?: number; readonly on?: string }
  | { readonly _tag: "WishEnded"; readonly acquisition: string; readonly end: WishEnd }
  | { readonly _tag: "Valid"; readonly acquisition: string; readonly token: bigint }
  | { readonly _tag: "Invalid"; readonly acquisition: string }
  | { readonly _tag: "Has"; readonly acquisition: string; readonly permits: number }
  | { readonly _tag: "Lost"; readonly acquisition: string; readonly reason: string }
  | { readonly _tag: "Committing"; readonly acquisition: string }
  | { readonly _tag: "Committed"; readonly acquisition: string; readonly how: string }
  | { readonly _tag: "Releasing"; readonly acquisition: string }
  | { readonly _tag: "Released"; readonly acquisition: string }
  | {
      readonly _tag: "Written"
      readonly verb: string
      readonly before: Version | undefined
      readonly after: Version
      readonly on?: string
    }
  | {
      readonly _tag: "Kept"
      readonly session: string | undefined
      readonly until: number
      readonly ended: string | undefined
      readonly broken: ReadonlyArray<string>
    }
  | { readonly _tag: "Fenced"; readonly acquisition: string; readonly token: bigint; readonly accepted: boolean }
  | { readonly _tag: "Misjudged"; readonly off: number }
  | { readonly _tag: "Trouble"; readonly what: string }
  | { readonly _tag: "Odd"; readonly what: string }
  | { readonly _tag: "Away"; readonly what: string }
  | { readonly _tag: "Back"; readonly what: string }
  | { readonly _tag: "Crashed" }
  | { readonly _tag: "Finished" }
  | { readonly _tag: "Broke"; readonly defect: string }
  | { readonly _tag: "Told"; readonly version: number }
  | { readonly _tag: "Said"; readonly message: string }

/** A happening with its time. */
export type Event = Happening & { readonly at: number; readonly process: string }

/** A change of the object. */
export type Written = Extract<Event, { readonly _tag: "Written" }>

/** The whole of it. */
export type History = ReadonlyArray<Event>

/** Takes happenings down. */
export interface Recorder {
  readonly events: Array<Event>
  readonly record: (process: string, happening: Happening) => void
}

/** Makes a recorder that reads true time off a clock. */
export const recorder = (now: () => number): Recorder => {
  const events: Array<Event> = []
  return { events, record: (process, happening) => void events.push({ ...happening, at: now(), process }) }
}

/** A text with the holders' names of the library in it, as the history calls them: `p1/0123456789ab.f` is `p1/15`. */
export const plainly = (text: string): string =>
  text.replaceAll(/\/[a-z0-9]{12}\.([a-z0-9]{1,11})(?![a-z0-9])/g, (_, wish) => `/${Number.parseInt(wish, 36)}`)

/** The process of an acquisition. */
export const processOf = (acquisition: string): string => acquisition.slice(0, acquisition.lastIndexOf("/"))

/** All names in the queue. */
export const namesIn = ({ queue: { arrivals, line } }: Version): ReadonlyArray<string> => [...line, ...arrivals]

/** The history for people to read: a line for each event but those that only repeat what is known. */
export const render = (history: History): string => {
  let writer: string | undefined
  const telling = history.filter((event) => {
    if (event._tag === "Told") return false
    if (event._tag !== "Fenced" || !event.accepted) return true
    const repeated = event.acquisition === writer
    writer = event.acquisition
    return !repeated
  })
  return telling.map(line).join("\n")
}

const seconds = (millis: number): string => `${(millis / 1000).toFixed(3)}s`

const line = (event: Event): string => `${seconds(event.at).padStart(9)}  ${event.process.padEnd(8)} ${describe(event)}`

const describe = (event: Event): string => {
  switch (event._tag) {
    case "Wished":
      return event.permits === undefined
        ? `wants the lock${onWhat(event)} as ${event.acquisition}`
        : `wants ${amount(event.permits)} as ${event.acquisition}`
    case "WishEnded":
      return `${event.acquisition} ${describeEnd(event.end)}`
    case "Valid":
      return `${event.acquisition} is valid, token ${token(event.token)}`
    case "Invalid":
      return `${event.acquisition} is not valid any more`
    case "Has":
      return `${event.acquisition} has ${amount(event.permits)}`
    case "Lost":
      return `${event.acquisition} notices its loss: ${event.reason}`
    case "Committing":
      return `${event.acquisition} begins to commit`
    case "Committed":
      return `${event.acquisition} commits: ${event.how}`
    case "Releasing":
      return `${event.acquisition} begins to release`
    case "Released":
      return `${event.acquisition} is through with releasing`
    case "Written":
      return `${event.verb} applied${onWhat(event)}: ${describeVersion(event.before)} -> ${describeVersion(event.after)}`
    case "Kept":
      return [
        ...(event.ended === undefined ? [] : [`ends ${event.ended}`]),
        ...(event.session === undefined ? [] : [`${event.session} lives until ${seconds(event.until)}`]),
        ...event.broken.map((hold) => `${hold} is broken`)
      ].join(", ")
    case "Fenced":
      return `${event.acquisition} writes to the resource with token ${token(event.token)}: ${event.accepted ? "accepted" : "rejected"}`
    case "Misjudged":
      return `misjudges the server's clock by ${event.off.toFixed(1)} ms`
    case "Trouble":
      return `trouble: ${event.what}`
    case "Odd":
      return `odd: ${event.what}`
    case "Away":
      return `${event.what} begins`
    case "Back":
      return `${event.what} ends`
    case "Crashed":
      return "crashes"
    case "Finished":
      return "has done its rounds"
    case "Broke":
      return `dies of a defect: ${event.defect}`
    case "Told":
      return `is told of version ${event.version}`
    case "Said":
      return `says: ${event.message}`
  }
}

const onWhat = ({ on }: { readonly on?: string }): string => (on === undefined ? "" : ` on ${on}`)

// The version of the acquiring write, and how often the lock was passed on within the process since.
const token = (token: bigint): string => `${token >> 20n}+${token & 0xfffffn}`

const amount = (permits: number): string => (permits === Number.MAX_SAFE_INTEGER ? "all" : String(permits))

const describeEnd = (end: WishEnd): string => {
  switch (end._tag) {
    case "Granted":
      return end.turn === "" ? "is granted" : `is granted ${end.turn}`
    case "Failed":
      return `fails: ${end.problem} (${end.detail})`
    case "GivenUp":
      return "is given up"
  }
}

const describeVersion = (version: Version | undefined): string => {
  if (version === undefined) return "nothing"
  const stands = ({ owner, session, until }: LockOn) =>
    `${owner ?? "somebody"} ${session === undefined ? `until ${seconds(until)}` : `under ${session}`}`
  const lock = version.lock === undefined ? "free" : stands(version.lock)
  const second = version.second === undefined ? [] : [`and ${stands(version.second)}`]
  const others = Object.entries(version.others).map(([key, value]) => `${key}=${value}`)
  const { arrivals, line, next } = version.queue
  const queue = [
    ...(line.length === 0 ? [] : [`queue=${abridged(line)}`]),
    ...(arrivals.length === 0 ? [] : [`arrived=${abridged(arrivals)}`]),
    ...(next === undefined ? [] : [`next=${next}`])
  ]
  const inLine = (version.line?.leases ?? []).map(
    ({ granted, owner, permits, place, until }) =>
      `${owner}@${place}:${amount(granted)}/${amount(permits)} until ${seconds(until)}`
  )
  const content = version.written === undefined ? [] : [`written by ${version.written}`]
  return `[${[`v${version.version}`, ...(version.line === undefined ? [lock] : [version.line.mark ?? "free"]), ...second, ...inLine, ...queue, ...others, ...content].join(" ")}]`
}

const abridged = (names: ReadonlyArray<string>): string =>
  names.length <= 12 ? names.join(",") : `${names.slice(0, 12).join(",")},(${names.length - 12} more)`
