/**
 * The timings and limits that the docs quote are those of the code.
 *
 * The table "Timings" of `docs/protocol.md` holds each of them once. Wherever a page quotes one it writes the name of
 * the row in italics and the value in parentheses: `*TTL* (10 s)`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import { join } from "node:path"
import { maxDigests } from "../src/internal/refresh/knowledge.ts"
import { spread } from "../src/internal/refresh/rotation.ts"
import { lastAttempt, rewriteInterval } from "../src/internal/refresh/unwritten.ts"
import { patience as commitPatience } from "../src/internal/engine/commit.ts"
import { patience as handlePatience } from "../src/internal/engine/givenLock.ts"
import { maxLocalHandOffs } from "../src/internal/engine/localQueue.ts"
import { cutOffDelay, patience as releasePatience, patienceAfterClose } from "../src/internal/engine/release.ts"
import { atMost, pressingMillis } from "../src/internal/engine/slots.ts"
import { shortestStep } from "../src/internal/engine/waitBudget.ts"
import {
  deafAfterMillis,
  deafMillis,
  failedMillis,
  idleMillis,
  lastHandOvers,
  lateHandOvers
} from "../src/internal/engine/watchPool.ts"
import { localClockError, reportableSkew } from "../src/internal/kubernetes/apiClient.ts"
import { requestConnections } from "../src/internal/kubernetes/connections.ts"
import { reopenPause, watchSeconds } from "../src/internal/kubernetes/watchStream.ts"
import { defaultRequestTimeout } from "../src/ObjectStoreKubernetes.ts"
import { absurd, contradictionTtl } from "../src/internal/time/serverClock.ts"
import { answersPerClaim, answersPerYield, backOffBounds, slowAnswer } from "../src/internal/protocol/acquisition.ts"
import { shortestAskInterval } from "../src/internal/protocol/besideDex.ts"
import * as fairness from "../src/internal/protocol/fairness.ts"
import { retriesPerInterval, retryPause } from "../src/internal/protocol/holding.ts"
import { weightOfLast } from "../src/internal/protocol/pace.ts"
import { inUseFor } from "../src/internal/engine/lineMemory.ts"
import { leavesApart, patience as localPatience } from "../src/internal/engine/permitPool.ts"
import { rejoinMargin, rejoinPause } from "../src/internal/protocol/rejoining.ts"
import { startPatience, startPause } from "../src/internal/protocol/startPatience.ts"
import { maxDrift, safetyMargin } from "../src/internal/time/clockReading.ts"
import { askAhead, smallWindow } from "../src/internal/time/secondTurn.ts"
import * as ElectionTiming from "../src/ElectionTiming.ts"
import * as LockPolicy from "../src/LockPolicy.ts"
import { questionsAtOnce } from "../src/internal/engine/timeQuestions.ts"
import * as LockProtocol from "../src/LockProtocol.ts"
import * as LockQueue from "../src/LockQueue.ts"
import * as PermitProtocol from "../src/PermitProtocol.ts"
import * as RefreshOnce from "../src/RefreshOnce.ts"
import { pages } from "./utils/pages.ts"

const time = (millis: number): string =>
  millis % 1000 !== 0 && millis < 1000
    ? `${millis} ms`
    : millis >= 120_000
      ? `${millis / 60_000} min`
      : `${millis / 1000} s`

/** The delays of a schedule, in milliseconds, until it ends. */
const delaysOf = (schedule: LockPolicy.WaitSchedule): ReadonlyArray<number> =>
  Effect.runSync(
    Effect.gen(function* () {
      const step = yield* Schedule.toStep(schedule)
      const delays: Array<number> = []
      for (let now = 0; ; now += delays.at(-1)!) {
        const delay = yield* step(now, undefined).pipe(
          Effect.map(([, delay]) => Duration.toMillis(delay)),
          Pull.catchDone(() => Effect.undefined)
        )
        if (delay === undefined) return delays
        delays.push(delay)
      }
    })
  )

const { renewEvery, ttl, waitSchedule } = LockPolicy.dex
// A duration is a whole number of nanoseconds, which does not always divide evenly.
const ratio =
  renewEvery === false ? 0 : Math.round((1000 * Duration.toMillis(ttl)) / Duration.toMillis(renewEvery)) / 1000
const polls = delaysOf(waitSchedule)
const refreshPolls = delaysOf(RefreshOnce.defaultPolicy.waitSchedule)
const refreshWait = refreshPolls.reduce((sum, delay) => sum + delay, 0)

const election = ElectionTiming.make()

/** The rows of the table, by the constants of the code. */
const inCode: Readonly<Record<string, string>> = {
  TTL: time(Duration.toMillis(ttl)),
  "renewal interval": `1/${ratio} of the TTL`,
  "hand-over lease": time(LockProtocol.handOverTtl),
  "poll interval": [...new Set(polls)].map(time).join(", "),
  polls: String(polls.length),
  "start patience": time(startPatience),
  "start pause": time(startPause),
  "queue capacity": String(LockQueue.capacity),
  recheck: time(LockProtocol.recheckAfter),
  "vague time": time(LockProtocol.vagueTime),
  yield: time(LockProtocol.yieldFor),
  "extended yield": time(LockProtocol.yieldToDexFor),
  gap: time(fairness.dexGap),
  "memory of Dex": time(fairness.dexMemory),
  "renewal retry": `1/${retriesPerInterval} of the renewal interval`,
  keep: `1/${Math.round(1 / PermitProtocol.keepAfter)} of the TTL`,
  turns: String(PermitProtocol.turns),
  "fewest turns": String(PermitProtocol.fewest),
  pace: `1/${1 / weightOfLast}`,
  "readers apart": time(leavesApart.millis),
  "local patience": time(localPatience),
  "line in use": time(inUseFor),
  "minimum claim": time(LockProtocol.minClaim),
  "answers per claim": String(answersPerClaim),
  "answers per yield": String(answersPerYield),
  "half-way position": String(LockProtocol.takeoverStagger.halfAt),
  "longest takeover stagger": time(LockProtocol.takeoverStagger.atMost),
  "rejoin pause": time(rejoinPause),
  "rejoin margin": time(rejoinMargin.atLeast),
  "release retries": time(Duration.toMillis(releasePatience)),
  "release retries after the layer closed": time(Duration.toMillis(patienceAfterClose)),
  "requests at once": String(atMost.all),
  "other requests at once": String(atMost.others),
  "pressing time": time(pressingMillis),
  "commit retries": time(Duration.toMillis(commitPatience)),
  "handle retries": time(Duration.toMillis(handlePatience)),
  "withdrawal delay": time(Duration.toMillis(cutOffDelay)),
  "slow answer": time(slowAnswer),
  "spread factor": String(backOffBounds.perLatency),
  "shortest spread": time(backOffBounds.atLeast),
  "longest spread": time(backOffBounds.atMost),
  "longest spread in the queue": time(backOffBounds.queued),
  stagger: time(LockProtocol.recheckStagger.perPosition),
  "longest stagger": time(LockProtocol.recheckStagger.atMost),
  "idle watch": time(idleMillis),
  "failed watch": time(failedMillis),
  "shortest step": time(shortestStep),
  "longest renewal retry": `1/${Math.round(1 / retryPause.partOfLease)} of what is left of the lease`,
  "shortest renewal retry": time(retryPause.atLeast),
  "expiry margin": `the TTL, or ${time(LockProtocol.expiryMargin(1))} if that is more`,
  "absurd time": `${absurd / 3_600_000} h`,
  "local clock error": time(localClockError),
  "request time-out": time(Duration.toMillis(defaultRequestTimeout)),
  "deaf watch": time(deafAfterMillis),
  "deaf pause": time(deafMillis),
  "late hand-overs": String(lateHandOvers),
  "last hand-overs": String(lastHandOvers),
  "watch pause": time(reopenPause.perRequest),
  "longest watch pause": time(reopenPause.atMost),
  "watch duration": time(watchSeconds * 1000),
  "request connections": String(requestConnections),
  "reported skew": time(reportableSkew),
  "contradiction memory": time(contradictionTtl),
  "lease duration": time(Duration.toMillis(election.leaseDuration)),
  "renew deadline": time(Duration.toMillis(election.renewDeadline)),
  "retry period": time(Duration.toMillis(election.retryPeriod)),
  "takeover grace": time(Duration.toMillis(RefreshOnce.defaultTakeoverGrace)),
  "refresh rewrite": time(Duration.toMillis(rewriteInterval)),
  "last rewrite": time(Duration.toMillis(lastAttempt)),
  "refresh grace": time(Duration.toMillis(RefreshOnce.defaultGrace)),
  "spent values": String(maxDigests),
  "remembered values": RefreshOnce.defaultCapacity.toLocaleString("en"),
  "first fairness budget": time(fairness.budgetLength.first),
  "longest fairness budget": time(fairness.budgetLength.atMost),
  "contended fairness budget": time(fairness.budgetLength.contended),
  "fairness budget beside Dex": time(fairness.budgetLength.contendedBesideDex),
  "local hand-offs": maxLocalHandOffs.toLocaleString("en"),
  "hand-over chain": time(LockProtocol.maxHandOverChain),
  "hand-over chain after Dex": time(LockProtocol.handOverChainAfterDex),
  "questions ahead": time(askAhead),
  "small window": time(smallWindow),
  "shortest question interval": time(shortestAskInterval),
  "questions at once": String(questionsAtOnce),
  "clock drift": `${maxDrift * 100} %`,
  "safety margin": `${safetyMargin * 100} %`,
  "first refresh poll": time(Math.min(...refreshPolls)),
  "longest refresh poll": time(Math.max(...refreshPolls)),
  "refresh spread": `${spread.atLeast} to ${spread.atMost} ms`,
  // The schedule ends with the first step that ends after its time.
  "refresh wait": time(Math.floor(refreshWait / 1000) * 1000)
}

const protocolPage = pages.find(({ name }) => name === join("docs", "protocol.md"))!.text
const section = protocolPage.split(/^## /m).find((text) => text.startsWith("Timings\n"))!
const inDocs: Readonly<Record<string, string>> = Object.fromEntries(
  [...section.matchAll(/^\| ([^|]+) \| ([^|]+) \| [^|]+ \| [^|]+ \|$/gm)]
    .map(([, name, value]) => [name!, value!] as const)
    .filter(([name]) => name !== "timing" && name !== "---")
)

describe("the numbers of the docs", () => {
  it("equal those of the code, row by row", () => {
    assert.deepStrictEqual(inDocs, inCode)
  })

  it("are the same on every page that quotes them", () => {
    let quotes = 0
    for (const { name: page, text } of pages) {
      for (const [quote, name, value] of text.matchAll(/(?<!\*)\*([^*\n]+)\* \(([^)\n]+)\)/g)) {
        if (!/\d/.test(value!)) continue
        quotes++
        assert.strictEqual(value, inDocs[name!], `${page}: ${quote}`)
      }
    }
    assert.isAbove(quotes, 30)
  })
})
