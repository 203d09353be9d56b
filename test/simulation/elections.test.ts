import * as History from "./history.ts"
import { describePromises } from "./promises.ts"
import type { Verdict } from "./run.ts"

// What a history has in it, to count.
const kindsOf = ({ history, plan }: Verdict): ReadonlyArray<string> => {
  const isGo = (process: string) => plan.election!.goes.some(({ name }) => name === process)
  return history.flatMap((event): ReadonlyArray<string> => {
    switch (event._tag) {
      case "Trouble":
      case "Away":
        return [`${isGo(event.process) ? "go" : "ours"}: ${event.what}`]
      case "Lost":
        return [event.reason]
      case "WishEnded":
        return event.end._tag === "Granted" ? [`${isGo(event.process) ? "go" : "ours"} leads`] : [event.end._tag]
      case "Written": {
        const [was, is] = [event.before?.lock?.owner, event.after.lock?.owner]
        if (was === undefined || was === is) return [event.verb === "delete" ? "deleted" : "kept"]
        const [from, to] = [was, is].map((owner) =>
          owner === undefined ? "nobody" : isGo(History.processOf(owner)) ? "go" : "ours"
        )
        const by = History.processOf(was) === event.process ? "" : isGo(event.process) ? " by go" : " by ours"
        return [`${from} to ${to}${event.verb === "delete" ? "" : by}`]
      }
      default:
        return [event._tag]
    }
  })
}

describePromises({
  kind: "elections",
  seeds: 160,
  chunk: 40,
  kindsOf,
  expected: [
    ..."ours leads,go leads,GivenUp,Crashed,deleted,Expired,TakenOver,Deleted".split(","),
    ..."ours to go by go,go to ours by ours,ours to ours by ours,go to go by go".split(","),
    // A hand-over, and a release too late of a client-go.
    ..."ours to ours,ours to nobody,go to nobody,ours to nobody by go".split(","),
    ...["ours", "go"].flatMap((who) => ["Stall", "Suspend", "Partition"].map((what) => `${who}: ${what}`)),
    ..."ours: write: request slow,ours: write: answer dropped,go: put: answer dropped,ours: create: 409".split(",")
  ],
  again: [3, 5, 8]
})
