/** The flags of a load test: what is contended for, and how. */
import type * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { duration, toggle, whole } from "../flags.ts"

/** What can be contended for. */
export const kinds = ["lock", "semaphore", "shared"] as const

/** The protocols that can be compared. */
export const protocols = ["kubelock", "dex"] as const

const percent = (text: string): Option.Option<number> =>
  /^\d+(\.\d+)?%$/.test(text) ? Option.some(Number(text.slice(0, -1)) / 100) : Option.none()

/** The flags. */
export const flags = {
  duration: duration(
    "duration",
    'How long the contest lasts: 500ms, 10s, 2m, or "10 seconds"; with --compare, for each protocol (default 10s)',
    { range: [Duration.millis(1), Duration.days(1)] }
  ).pipe(Flag.withAlias("z"), Flag.withDefault(Duration.seconds(10))),
  hold: duration("hold", "How long the lock is held each time (default 0ms)", {
    range: [Duration.zero, Duration.days(1)]
  }).pipe(Flag.withDefault(Duration.zero)),
  ids: whole("ids", [1, 1000], "How many objects there are to lock (default 1)").pipe(Flag.withDefault(1)),
  kind: Flag.Literals("kind", kinds).pipe(
    Flag.withMetavar("KIND"),
    Flag.withDefault("lock" as const),
    Flag.withDescription(
      "What they contend for: an exclusive lock, permits, or a lock that readers share (default lock)"
    )
  ),
  limit: whole("limit", [1, 999_999_999], "With --kind semaphore: how many permits there are (default 4)").pipe(
    Flag.optional
  ),
  writers: Flag.String("writers").pipe(
    Flag.filterMap(
      (text) => Option.filter(percent(text), (share) => share <= 1),
      () => "a share from 0% to 100%, such as 10%"
    ),
    Flag.withMetavar("SHARE"),
    Flag.withDescription("With --kind shared: how often a contender wants to write rather than to read (default 10%)"),
    Flag.optional
  ),
  protocol: Flag.Literals("protocol", protocols).pipe(
    Flag.withMetavar("NAME"),
    Flag.withDefault("kubelock" as const),
    Flag.withDescription("Whose lock: kubelock's, or Dex's own as a baseline (default kubelock)")
  ),
  compare: toggle(
    "compare",
    "Run both protocols in turns, after both have warmed up, and show the ratio of kubelock to Dex"
  ),
  seed: whole(
    "seed",
    [0, 2 ** 31 - 1],
    "Decides what is chosen at random, such as which object is locked next; it is shown with the figures (default: any)"
  ).pipe(Flag.optional),
  report: Flag.String("report").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Also write a page to this file: who held the lock when, and the figures as charts"),
    Flag.optional
  )
}

/** What was asked for. */
export type Given = Command.Command.Config.Infer<typeof flags>
