/** Chaos on two hosts, whose cables are pulled, cut in one direction, slow and lossy. */
import { describeMissing } from "../../tools/notRun.ts"
import { describeChaos } from "./describeChaos.ts"
import * as Host from "./host.ts"

const problem = Host.problem()

if (problem === undefined) describeChaos("chaos on two hosts", "hosts")
else describeMissing("chaos on two hosts", `NOT RUN, no two hosts: ${problem}`)
