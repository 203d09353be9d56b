import { mutations } from "../../mutations/sessions.ts"
import { describeInterleavings } from "../interleavings.ts"
import { explore } from "./search.ts"
import { sessions, setting } from "./sessions.ts"

// Those of all processes, locks and Leases under one name.
const everyMove = [
  "A begins with x",
  "A crashes",
  "A ends its session",
  "A goes on with x",
  "A has its answer from x",
  "A has the answer for its session",
  "A has the answer to its fence",
  "A is told that the session of x has ended",
  "A judges the session",
  "A looks for what is left of it on x",
  "A looks no more for what is left of it on x",
  "A opens a session on a Lease",
  "A reads a Lease",
  "A releases x",
  "A renews its session",
  "A renews x",
  "A sees a change of x",
  "A tries again to release x",
  "a stranger writes on x",
  "an operator deletes a Lease",
  "the answer to the fence of A is lost",
  "the answer to the request of A for its session is lost",
  "the answer to the write of A to x is lost",
  "the clock of A is set",
  "the fence of A is late",
  "the fence of A is lost",
  "the lease of A on x has run out",
  "the operator looks at a Lease",
  "the operator reads x",
  "the operator removes the record of x",
  "the request of A for its session is late",
  "the request of A for its session is lost",
  "the server works on a request that A gave up",
  "the server works on the fence of A",
  "the server works on the request of A for its session",
  "the server works on the write of A to x",
  "the session of A is over",
  "the write of A to x is late",
  "the write of A to x is lost",
  "time passes"
]

describeInterleavings({
  what: "sessions",
  worlds: sessions,
  explore,
  plain: (name) =>
    name
      .replaceAll(/\b[BC]\b/g, "A")
      .replaceAll(/\by\b/g, "x")
      .replaceAll(/lease-\d/g, "a Lease"),
  everyMove,
  settles: { what: "every process that lives getting its locks", within: [4, 8] },
  mutated: mutations.map(({ breaks, depth, how, in: place, name }) => ({
    name,
    breaks,
    depth,
    setting: setting(name, place, how)
  }))
})
