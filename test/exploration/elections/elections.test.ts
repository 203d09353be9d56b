import { mutations } from "../../mutations/mutations.ts"
import { describeInterleavings } from "../interleavings.ts"
import { elections, setting } from "./elections.ts"
import { explore } from "./search.ts"

// Those of all candidates of the library under one name.
const everyMove = [
  "A crashes",
  "A finds that it leads",
  "A gives up",
  "A has its answer",
  "A has released",
  "A joins the queue",
  "A looks",
  "A releases",
  "A renews",
  "A sends its write",
  "somebody deletes the Lease",
  "somebody empties the Lease",
  "the answer to A is lost",
  "the answer to the client-go is lost",
  "the client-go ends",
  "the client-go finds a conflict",
  "the client-go gets no answer",
  "the client-go is stopped",
  "the client-go leads",
  "the client-go looks",
  "the client-go releases",
  "the client-go renews",
  "the server works on a write that A gave up",
  "the server works on the write of A",
  "the server works on the write of the client-go",
  "the term of A has ended",
  "the write of A is late",
  "the write of A is lost",
  "time passes"
]

describeInterleavings({
  what: "an election",
  worlds: elections,
  explore,
  plain: (name) => name.replaceAll(/\bB\b/g, "A"),
  everyMove,
  mutated: mutations.flatMap(({ election, how, name }) =>
    election === undefined
      ? []
      : [
          {
            name,
            breaks: election.breaks,
            depth: election.depth,
            setting: setting(name, election.in, { ...how, ...election.how })
          }
        ]
  )
})
