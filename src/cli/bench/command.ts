/** `kubelock bench`: its flags and its help. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { exitCodes } from "../exitCodes.ts"
import { toggle, whole } from "../flags.ts"
import { program, resource } from "../target.ts"
import { verb } from "../verb.ts"
import * as load from "./flags.ts"

const flags = {
  ...load.flags,
  contenders: whole(
    "contenders",
    [1, 65_536],
    "How many contend for the lock; a multiple of the threads (default 32)"
  ).pipe(Flag.withAlias("c"), Flag.withDefault(32)),
  threads: whole(
    "threads",
    [1, 64],
    "How many threads the contenders are in, each with its own connections (default 4, or fewer if they do not divide by it)"
  ).pipe(Flag.optional),
  threshold: Flag.String("threshold").pipe(
    Flag.withMetavar("THRESHOLD"),
    Flag.withDescription(
      "A figure, a comparison and a bound, as wait.p99<50ms; may be repeated. If one is missed, the exit code is 99"
    ),
    Flag.atLeast(0)
  ),
  output: Flag.Literals("output", ["table", "json"]).pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("FORMAT"),
    Flag.withDescription("The format (default table)"),
    Flag.withDefault("table")
  ),
  resource,
  job: toggle("job", "Instead, print a Job for kubectl apply whose pods contend for one lock, each with -c contenders"),
  name: Flag.String("name").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription("With --job: the name of the Job, and of its service account (default kubelock-bench)"),
    Flag.withDefault("kubelock-bench")
  ),
  pods: whole("pods", [1, 1000], "With --job: how many pods contend (default 4)").pipe(Flag.withDefault(4)),
  image: Flag.String("image").pipe(
    Flag.withMetavar("IMAGE"),
    Flag.withDescription(
      "With --job: an image that has kubelock on its path (default: one of Node.js, which fetches kubelock from npm)"
    ),
    Flag.optional
  ),
  collect: Flag.String("collect").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription("Instead, print what the pods of this Job measured together"),
    Flag.optional
  ),
  podOf: Flag.String("pod-of").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription("Instead, be a pod of this Job: its pods run this themselves"),
    Flag.optional
  )
}

/** What was asked for. */
export type Given = Command.Command.Config.Infer<typeof flags>

const description = `Makes threads of contenders contend for a lock on a cluster, proves that they exclude each other, and measures how well they do.

  It makes objects of its own, named kubelock-load-…, deletes them at the end, and touches no other. A wait is from the moment when a contender wants the lock, so nothing is left out if the server is slow: it is a closed loop, and a contender that waits asks for nothing else meanwhile.

  --threshold compares wait.p50, wait.p95, wait.p99 and wait.max (the same of handoff), throughput (acquisitions a second), requests (for each acquisition), acquisitions, conflicts, timeouts, errors, fairness.jain, fairness.min and fairness.max, by <, <=, >, >= or ==. With --compare they are kubelock's.

  --job prints a Job (with a service account that may do just that) whose pods wait for each other, contend for one lock, and tell each critical section to a witness: an object on the API server, which puts all of them in one order. So exclusion is checked across machines, whatever their clocks say, for two writes to that object in each critical section. --collect merges what the pods have left. All that they make goes with the Job.

EXIT CODES
  0    exclusion held
  1    exclusion was broken, or nothing could be measured
  ${exitCodes.usage}   the invocation makes no sense
  ${exitCodes.api}   the API server cannot be reached, or refuses
  ${exitCodes.notHad}   with --collect: not all pods are done
  ${exitCodes.missed}   a threshold was missed`

/** The verb. */
export const command = verb("bench", flags, () => import("./bench.ts").then(({ run }) => run)).pipe(
  Command.withShortDescription("Measures locks on a cluster, and proves that they exclude"),
  Command.withDescription(description),
  Command.withExamples([
    { command: `${program} bench -z 10s -c 32`, description: "32 contenders in 4 threads, for 10 seconds" },
    {
      command: `${program} bench -z 10s -c 8 --threshold 'wait.p99<5s' --threshold 'errors==0'`,
      description: "In a pipeline: fails if a figure is not as it should be"
    },
    {
      command: `${program} bench -z 10s --kind semaphore --limit 4 --hold 20ms`,
      description: "Permits of a semaphore"
    },
    {
      command: `${program} bench --job -z 1m --pods 8 -c 4 | kubectl apply -f -`,
      description: "8 pods, wherever Kubernetes puts them"
    },
    {
      command: `${program} bench --collect kubelock-bench`,
      description: "What they measured, once the Job is complete"
    },
    {
      command: `${program} bench -z 10s --report bench.html -o json`,
      description: "A page with charts, and figures for a program"
    }
  ])
)
