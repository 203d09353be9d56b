import { mutations } from "../../mutations/permits.ts"
import { describeInterleavings } from "../interleavings.ts"
import { lines, setting } from "./permits.ts"
import { explore } from "./search.ts"

// Those of all contenders under one name.
const everyMove = [
  "A begins",
  "A begins without a look",
  "A crashes",
  "A gives a permit back",
  "A gives up",
  "A goes on",
  "A has its answer",
  "A releases",
  "A renews",
  "A sees a change",
  "A stops looking",
  "A takes all permits",
  "A tries again",
  "a stranger writes on the object",
  "an operator breaks the lease of A",
  "the answer to A is lost",
  "the lease of A has run out",
  "the server works on a write that A gave up",
  "the server works on the write of A",
  "the write of A is late",
  "the write of A is lost",
  "time passes"
]

describeInterleavings({
  what: "a lock with permits",
  worlds: lines,
  explore,
  plain: (name) => name.replaceAll(/\b[B-F]\b/g, "A"),
  everyMove,
  settles: { what: "every contender getting its permits", within: [3, 8] },
  mutated: mutations.map(({ breaks, depth, how, in: place, name }) => ({
    name,
    breaks,
    depth,
    setting: setting(name, place, how)
  }))
})
