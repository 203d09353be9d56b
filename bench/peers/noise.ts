/** What a page says about a machine that others used, too: pure. */
import type { Circumstances } from "./machine.ts"

/** Says how busy it was. */
export const noise = ({ loadAfter, machine, priority }: Circumstances): string =>
  `> **Noisy.** Others used the machine, too: the load was ${machine.loadBefore.toFixed(1)} on ${machine.cpus} CPUs when this run began, and ${loadAfter.toFixed(1)} when it ended, itself included. The processes of the run had the priority (nice value) ${priority}. Do not trust a single number.`
