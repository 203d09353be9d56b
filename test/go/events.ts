/**
 * What a candidate prints on standard output: one line of JSON an event. All programs that campaign in this suite print the
 * same (`elector/main.go`, `model.ts`).
 *
 * `at` is in milliseconds on the machine's monotonic clock, which all processes share however their wall clocks are set.
 *
 * - `leader`: it saw that somebody else leads, or that nobody does (`""`).
 * - `started`: it leads from now on. `token`: its fencing token, if it has one.
 * - `leading`: it leads. Said every 10 ms. It reads `at` before it checks that it leads, so that a suspension between the two
 *   claims nothing wrong.
 * - `stopped`: it noticed that it no longer leads.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

const at = Schema.Finite

const Event = Schema.Union([
  Schema.Struct({ event: Schema.Literal("leader"), at, leader: Schema.String }),
  Schema.Struct({ event: Schema.Literal("started"), at, token: Schema.optionalKey(Schema.String) }),
  Schema.Struct({ event: Schema.Literals(["leading", "stopped"]), at })
])
export type Event = typeof Event.Type

const decode = Schema.decodeUnknownResult(Schema.fromJsonString(Event))

/** The event of a line, or `undefined` if the line is none. A process that is killed may leave half a line. */
export const parse = (line: string): Event | undefined => Result.getOrUndefined(decode(line))

/** Prints an event. */
export const tell = (event: Event): void => void process.stdout.write(`${JSON.stringify(event)}\n`)

/** Now, for `at`. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6
