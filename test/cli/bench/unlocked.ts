/** A thread of `witness.test.ts`: it enters and leaves a critical section without a lock. */
import { workerData } from "node:worker_threads"
import * as Witness from "../../../src/cli/bench/contest/witness.ts"

const { turns, who, witness }: { turns: number; who: number; witness: Witness.Witness } = workerData

const pause = new Int32Array(new SharedArrayBuffer(4))
for (let turn = 0; turn < turns; turn++) {
  const visit = Witness.enter(witness, 0, who, process.hrtime.bigint())
  Atomics.wait(pause, 0, 0, 1)
  Witness.leave(witness, visit, process.hrtime.bigint())
}
