import * as History from "./history.ts"
import * as plans from "./plan.ts"
import { describePromises } from "./promises.ts"

// What a history has in it, to count.
const kindsOf = (history: History.History): ReadonlyArray<string> =>
  history.flatMap((event): ReadonlyArray<string> => {
    switch (event._tag) {
      case "Trouble":
      case "Odd":
      case "Away":
        return [event.what]
      case "Lost":
        return [event.reason]
      case "Committed":
        return [`commit ${event.how}`]
      case "Fenced":
        return event.accepted ? [] : ["stale write"]
      case "WishEnded":
        return event.end._tag === "Failed"
          ? [event.end.problem]
          : event.end._tag === "Granted" && event.end.turn !== "" && event.end.turn !== event.acquisition
            ? ["passed on"]
            : [event.end._tag]
      case "Written":
        return [
          ...(isTakenAfterCrash(history, event) ? ["taken after a crash"] : []),
          ...(event.verb === "delete" && event.before?.lock !== undefined ? ["deleted while held"] : []),
          ...(isTooLate(history, event) ? ["arrived after its wish"] : []),
          ...queueingOf(event)
        ]
      default:
        return [event._tag]
    }
  })

const queueingOf = ({ after, before, process, verb }: History.Written): ReadonlyArray<string> => {
  const [owner, heir] = [before?.lock?.owner, after.lock?.owner]
  const isHandedOver = heir !== undefined && heir !== owner && History.processOf(heir) !== process
  return [
    ...(verb === "spoil" ? ["spoiled"] : []),
    ...(verb === "spoil" && after.queue.line.length > 128 ? ["line is full"] : []),
    ...(isHandedOver ? [owner === undefined ? "handed to an arrival" : "handed over"] : []),
    ...(isHandedOver && heir.startsWith("ghost") ? ["handed to a ghost"] : []),
    ...(isHandedOver && after.queue.line.some((name) => History.processOf(name) === process) ? ["queued again"] : [])
  ]
}

const kindsOfPlan = ({ holders, theme }: plans.Plan): ReadonlyArray<string> => [
  theme,
  ...(holders.some(({ serverAhead }) => serverAhead > 0) ? ["two servers"] : [])
]

// A place in the queue, or a lock on a new object, for a wish that ended more than a second before.
const isTooLate = (history: History.History, { after, at, before, process }: History.Written): boolean =>
  [after.lock?.owner, ...after.queue.arrivals].some(
    (name) =>
      name !== undefined &&
      name !== before?.lock?.owner &&
      before?.queue.arrivals.includes(name) !== true &&
      before?.queue.line.includes(name) !== true &&
      History.processOf(name) === process &&
      history.some((event) => event._tag === "WishEnded" && event.acquisition === name && event.at < at - 1000)
  )

const isTakenAfterCrash = (history: History.History, { after, at, before }: History.Written): boolean => {
  const owner = before?.lock?.owner
  return (
    owner !== undefined &&
    after.lock !== undefined &&
    after.lock.owner !== owner &&
    history.some((event) => event._tag === "Crashed" && event.process === History.processOf(owner) && event.at < at)
  )
}

describePromises({
  kind: "locks",
  seeds: 300,
  chunk: 50,
  kindsOf: ({ history, plan }) => [...kindsOf(history), ...kindsOfPlan(plan)],
  expected: [
    ...plans.troubles.flatMap((trouble) =>
      trouble === "409" || trouble === "request late" ? [] : [`read: ${trouble}`]
    ),
    ...plans.troubles.map((trouble) => `write: ${trouble}`),
    ...plans.troubles.map((trouble) => `commit: ${trouble}`),
    ..."Stall,Suspend,Partition,Restart,Crashed,GivenUp,passed on,stale write,Expired,TakenOver,Removed".split(","),
    ..."watch,own watch,spoiled,line is full,handed over,handed to an arrival,handed to a ghost,queued again".split(
      ","
    ),
    ..."LockTimeout,LockConflict,LockUnavailable,commit done,commit LockLost,taken after a crash".split(","),
    ..."LockForbidden,LockUnauthorized,commit LockUnavailable".split(","),
    ..."no Date,an absurd Date,two servers,wall clock set by hours,its logger throws,its tracer throws".split(","),
    ..."watch: 403,deleted while held,Deleted,arrived after its wish,blips,late,crowd".split(",")
  ],
  again: [5, 7, 8, 14, 29]
})
