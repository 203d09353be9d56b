/** The page that a run makes, `docs/benchmarks.md`: pure. */
import { contentionTable, losses, overlapsOf, p99, perSecond, serverTable } from "./contention.ts"
import { cellOf, holdBound, middle, ratio, value } from "./cells.ts"
import { goals, plain } from "./goals.ts"
import { about, isElsewhere, type Kind, kinds, unable } from "../contest/kind.ts"
import { cpuMillis } from "../contest/warmUp.ts"
import { markdown, number, time } from "../../src/cli/bench/harness/text.ts"
import type { Cell, Measurements, OnServer } from "./measurements.ts"
import * as plan from "./plan.ts"

/** The file and the title of a plot. */
export interface PlotLink {
  readonly file: string
  readonly title: string
}

/** Writes the page. */
export const page = (run: Measurements, plots: ReadonlyArray<PlotLink>): string =>
  [
    "<!-- Written by `npm run bench:peers` from what a run measured. Do not edit. -->",
    "# Benchmarks",
    "kubelock and other locks on Kubernetes, on real API servers. They take turns in one run, and each contender is a process of its own. Only the locks are measured: there is no work under them unless a hold is named. Compare the kinds by their ratios. Times depend on the machine, above all on how fast its disk syncs etcd's log.",
    "In the same run, and in turns with them: locks on the etcd behind the API server, and on a Redis.",
    where(run),
    "## Who contends",
    whoContends(run),
    ...leftOut(run),
    "The objects are as Dex and client-go leave them: the API server tracks who owns which of their fields. kubelock, the relay and the raw writes reset that with their first write. A cycle of client-go takes four requests at least: it reads before it takes the Lease, and before it releases it.",
    "## Which lock for whom",
    forWhom,
    "## Goals",
    goalsTable(run),
    "## What bounds a hand-over",
    "The limit of the rows against raw writes is the relay: it goes from process to process as kubelock's lock does, and does nothing else.",
    limitsTable(run),
    "The rest is CPU. Servers and contenders share it, so the throughput goes by what a hand-over takes of it, in the contenders and in the server with its etcd together.",
    cpuTable(run),
    handOverText(run),
    "## Contention",
    `Each process takes the lock, releases it at once, and wants it again. Figures are medians over the rounds, with the range of the throughput in brackets. A wait that the end of a round cuts short counts as long as it had lasted. If such waits reach into the last percent, p99 is at least the value shown (≥). Jain's index says how evenly the processes were served: 1 is even, 1/n is one process only. The server itself counts the watch events that it sends.`,
    "Requests to etcd and to Redis are calls and commands. Those of programs are not counted, nor is their CPU.",
    plotsNamed(plots, ["throughput", "requests", "wait-p99", "wait", "handoff"]),
    ...run.servers.flatMap((on) => [`### ${on.server} ${on.version}`, contentionTable(on)]),
    "## All at once",
    "At the beginning of a round all processes come at the same moment. The time is that until each of them has had the lock.",
    burstTable(run),
    "## What the server does for it",
    "CPU of the API server and its etcd, or of Redis, for an acquisition and its release, as the kernel counts it.",
    ...perServer(run, serverTable),
    "## Where kubelock is not the best",
    losses(run),
    "## When a holder is suspended or dies",
    failureText,
    failureTable(run),
    "## Holding the lock for 20 ms",
    `${plan.hold.contenders} processes. The bound is the throughput if only the hold and one raw write separated two acquisitions.`,
    ...perServer(run, holdTable),
    "## Waiting while nothing changes",
    `${plan.waiters} processes wait for a lock that a fifth process holds.`,
    waitingTable(run),
    "## On the wire",
    `Bytes of an acquisition and its release without contention, in both directions, TLS included. The locked object has ${plan.wireObjectBytes / 1024} KiB. A Lease is a small object of its own, whatever it protects.`,
    wireTable(run),
    wireText,
    "## Threads and fibers",
    "`npm start -- --compare`: 4 threads of 8 fibers each on one token. kubelock queues the fibers inside the process. With Dex's protocol each of them polls.",
    threadsTable(run),
    threadsText,
    "## Many locks at once",
    "One layer of a process holds so many locks, and another one waits for all of them. The first releases all at once. The time is that to the last entry. Then the new holders keep their locks for longer than a lease.",
    manyTable(run),
    "## Together with Dex",
    mixedTable(run),
    "## Without a server, and with many ids",
    memoryText(run),
    plotsNamed(plots, ["ids"]),
    "## Run it again",
    again(run)
  ].join("\n\n") + "\n"

const handOverText = ({ memory }: Measurements) =>
  `What kubelock takes beyond the relay has three causes. Its own code runs in processes that wake rarely, and is slower there than in a loop, in which an acquisition and its release take ${number(memory.cycleMicrosP50)} µs on the store in memory. Its patches say what must still be so, where the relay's say a version. And its processes all start at once, while those of the relay have fixed places, which shows where a round is short for so many processes. To reach a goal against the relay, a hand-over must take no more than the relay's CPU divided by that goal.

What was tried: a watch over HTTP/1.1, on a connection of its own, instead of HTTP/2. It takes as much CPU for an event (0.30 ms, and 0.27 ms over HTTP/2: medians of five rounds in turns, 250 events each, with undici alone on a busy machine), and each watch that ends takes its connection with it.`

const wireText =
  "More than half of that are headers, which HTTP/1.1 repeats with each request. Over HTTP/2 a PATCH like these and its answer would take 950 bytes instead of 1,450, so a cycle about 1,000 less. But each would take half as much CPU again (0.49 to 0.59 ms instead of 0.36 ms: medians of five rounds in turns, 400 requests each, with undici alone on a busy machine), and a lock sends few bytes. So requests stay on HTTP/1.1. A release could name the version of the object instead of the lease and its holder, which is 270 bytes shorter. But then the server would refuse it whenever a waiter has joined meanwhile, and it would take another request."

const threadsText =
  "Nearly all of kubelock's acquisitions are hand-offs within a thread, which make no request: one core is their limit, whatever the server. Dex's are requests. So the ratio depends on the server. The embedded one, the default of `npm start`, answers at once, since it writes to no disk: there kubelock was 43 to 65 times as fast as Dex, where the goal is 100. A thread keeps the lock for 200 ms at a time, or 10,000 hand-offs, and then gives it on with one or two requests, so fairness costs a few percent. To reach the goal, a hand-off within a thread would have to take half the CPU."

const forWhom = `- **kubelock**: your services run on Kubernetes, and locks belong to many ids. It needs no server besides the API server, processes get the lock in the order in which they came, and work under a lock that was lost ends. One id changes hands some hundred times a second at most, by the figures below; many ids do so side by side.
- **Leader election** (kubelock's \`LeaderElection\`, or client-go's): one process does the work for hours. A lock that changes hands is not what it is for: see how its waiters fare below.
- **etcd's mutex**: you have an etcd of your own, and programs in Go. It is as safe as kubelock, since both rest on etcd, and spares the API server. Do not use the etcd of a cluster: whoever can write to it can do anything to the cluster.
- **etcdctl lock**: the same for shell scripts.
- **redis-semaphore, redlock, effect-distributed-lock**: you run a Redis, a lock changes hands thousands of times a second, and it does no harm if two hold it now and then: after a failover of Redis, after a crash of one that syncs once a second, or after a holder was suspended. Their processes poll, or race when they are told of a release, so chance decides which one gets the lock.
- **Dex, k8s-lease-lock**: they are here because you may have them already.
- **Within one process**: use Effect's \`Semaphore\`. It needs no server.`

const failureText =
  "A process works under the lock, and another one waits. The first is suspended (SIGSTOP), as a machine is that hangs or a container that is frozen, until the other one has had the lock for a second. Then it goes on. In a second try it is killed (SIGKILL). Programs that it started share its fate."

const failureTable = (run: Measurements): string => {
  const rows = run.servers.flatMap(({ failures, server }) =>
    failures.map(({ freedSuccessor, kind, killedAfter, takenAfter, workedOn }) => [
      server,
      about[kind].name,
      never(takenAfter),
      workedOn === null ? "goes on, and hears nothing" : `ends after ${time(workedOn)}`,
      freedSuccessor ? "**frees the lock of its successor**" : "does no harm",
      never(killedAfter)
    ])
  )
  const head = [
    "server",
    "lock",
    "suspended: the waiter has it after",
    "then the work of the first",
    "then its release",
    "killed: the waiter has it after"
  ]
  return tableOf(head, rows)
}

const notMeasured = "Not measured in this run."

/** The table of a part that a run may leave out. */
const tableOf = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  rows.length === 0 ? notMeasured : markdown(head, rows, 2)

const never = (millis: number | null): string => (millis === null ? "not within a minute" : time(millis))

const leftOut = ({ leftOut }: Measurements): ReadonlyArray<string> =>
  leftOut.length === 0
    ? []
    : [`> **Left out:** ${leftOut.map(({ kind, why }) => `${about[kind].name} (${why})`).join("; ")}.`]

const where = ({ machine, others, settings, servers, tookSeconds }: Measurements): string => {
  const noise =
    machine.loadBefore > 0.5
      ? `\n\n> **Noisy.** The machine was busy when this run began (load ${machine.loadBefore.toFixed(1)} on ${machine.cpus} CPUs): do not trust a single number.`
      : ""
  return `${markdown(
    ["", ""],
    [
      ["date", machine.date],
      [
        "machine",
        `${machine.cpus} x ${machine.cpu}, ${machine.memoryGiB} GiB, ${machine.kernel}; servers and contenders share it`
      ],
      ["API servers", servers.map(({ server, version }) => `${server} ${version}`).join(", ")],
      ["etcd", `${machine.etcd}, every write synced to disk`],
      ["Node.js", machine.node],
      ["kubelock", machine.commit],
      [
        "packages",
        Object.entries(machine.packages)
          .map(([name, version]) => `${name} ${version}`)
          .join(", ")
      ],
      [
        "other servers and packages",
        Object.entries(others)
          .map(([name, version]) => `${name} ${version}`)
          .join(", ")
      ],
      [
        "run",
        `${settings.rounds} round${settings.rounds === 1 ? "" : "s"} of ${settings.seconds} s for each kind and number of contenders; ${Math.ceil(tookSeconds / 60)} min in all`
      ]
    ],
    2
  )}${noise}`
}

const whoContends = ({ servers, settings }: Measurements): string =>
  kinds
    .filter((kind) => kind !== "kubelock-before" || settings.against !== undefined)
    .map((kind) => {
      const cannot = servers.flatMap(({ server }) => {
        const why = isElsewhere(kind) ? undefined : unable(kind, server)
        return why === undefined ? [] : [` Not on ${server}: ${why}.`]
      })
      return `- **${about[kind].name}**: ${about[kind].text}.${cannot.join("")}`
    })
    .join("\n")

const goalsTable = (run: Measurements): string =>
  markdown(
    ["figure", "goal", ...run.servers.map(({ server }) => server)],
    goals.flatMap(({ figure, goal, judge }) => {
      const judgements = run.servers.map((on) => judge(on, run))
      return judgements.every((judgement) => judgement === null)
        ? []
        : [
            [
              figure,
              goal,
              ...judgements.map((judgement) =>
                judgement === null ? "-" : judgement.isReached ? `${judgement.text} ✓` : `**${judgement.text}** ✗`
              )
            ]
          ]
    }),
    2
  )

const limitsTable = (run: Measurements): string =>
  markdown(
    ["server", "processes", "raw writes/s", "relay/s", "kubelock/s", "relay to raw", "kubelock to relay"],
    run.servers.flatMap((on) =>
      run.settings.contenders.flatMap((contenders) => {
        const [raw, relay, own] = [
          value(on, "raw", contenders, "perSecond"),
          value(on, "relay", contenders, "perSecond"),
          value(on, "kubelock", contenders, "perSecond")
        ]
        if (contenders === 1 || relay === null) return []
        const ratios = [ratio(relay, raw), ratio(own, relay)].map((part) => (part === null ? "-" : plain(part)))
        return [[on.server, String(contenders), number(raw), number(relay), number(own), ...ratios]]
      })
    ),
    2
  )

/** The CPU of an acquisition, in the contenders and in the server: `null` if it was not measured. */
const cpuOf = (on: OnServer, kind: Kind, contenders: number): number | null => {
  const parts = (["cpuPerAcquisition", "serverCpuPerAcquisition"] as const).map((part) =>
    value(on, kind, contenders, part)
  )
  return parts.reduce((sum, part) => (sum === null || part === null ? null : sum + part), 0)
}

const cpuTable = (run: Measurements): string =>
  tableOf(
    ["server", "processes", "relay", "kubelock", "CPUs busy", "relay to kubelock", "acquisitions/s: kubelock to relay"],
    run.servers.flatMap((on) =>
      run.settings.contenders.flatMap((contenders) => {
        const [relay, own] = [cpuOf(on, "relay", contenders), cpuOf(on, "kubelock", contenders)]
        const [perSecond, relayPerSecond] = [
          value(on, "kubelock", contenders, "perSecond"),
          value(on, "relay", contenders, "perSecond")
        ]
        if (contenders === 1 || relay === null || own === null || perSecond === null) return []
        const busy = Math.round((perSecond * own) / (10 * run.machine.cpus))
        const ratios = [ratio(relay, own), ratio(perSecond, relayPerSecond)].map((part) =>
          part === null ? "-" : plain(part)
        )
        return [[on.server, String(contenders), time(relay), time(own), `${busy} %`, ...ratios]]
      })
    )
  )

const burstTable = (run: Measurements): string => {
  const counts = run.settings.contenders.filter((contenders) => contenders > 1)
  return markdown(
    ["server", "", ...counts.map((contenders) => `${contenders} processes`)],
    run.servers.flatMap((on) =>
      kinds
        .filter((kind) => on.cells.some((cell) => cell.kind === kind && cell.contenders > 1))
        .map((kind) =>
          [on.server, about[kind].name].concat(counts.map((contenders) => burst(cellOf(on, kind, contenders))))
        )
    ),
    2
  )
}

const burst = (cell: Cell | undefined): string => {
  const millis = middle(cell, "burstMillis")
  return cell !== undefined && millis === null ? "not within the round" : time(millis)
}

const perServer = (run: Measurements, make: (on: OnServer) => string): ReadonlyArray<string> =>
  run.servers.flatMap((on) => [`**${on.server}**`, make(on)])

const holdTable = (on: OnServer): string => {
  const bound = holdBound(on)
  return markdown(
    ["", "acquisitions/s", "of the bound", "wait p50", "wait p99", "requests", "Jain", "overlaps"],
    on.hold.map((cell) => [
      about[cell.kind].name,
      perSecond(cell),
      bound === null ? "-" : `${Math.round(((middle(cell, "perSecond") ?? 0) / bound) * 100)} %`,
      time(middle(cell, "waitP50")),
      p99(cell),
      number(middle(cell, "requestsPerAcquisition")),
      number(middle(cell, "jain")),
      overlapsOf(cell)
    ])
  )
}

/** A row for each kind, a column for each server. */
const byKind = <A extends { readonly kind: Kind }>(
  run: Measurements,
  what: string,
  read: (on: OnServer) => ReadonlyArray<A>,
  show: (figure: A) => string
): string =>
  markdown(
    [what, ...run.servers.map(({ server }) => server)],
    kinds
      .filter((kind) => run.servers.some((on) => read(on).some((figure) => figure.kind === kind)))
      .map((kind) => {
        const figures = run.servers.map((on) => {
          const figure = read(on).find((figure) => figure.kind === kind)
          return figure === undefined ? `cannot: ${unable(kind, on.server) ?? "no such row"}` : show(figure)
        })
        return [about[kind].name].concat(figures)
      })
  )

const waitingTable = (run: Measurements): string =>
  byKind(
    run,
    "requests a second for each waiter",
    (on) => on.waiting,
    (figure) => number(figure.requestsPerWaiterSecond)
  )

const wireTable = (run: Measurements): string =>
  `${byKind(
    run,
    "bytes a cycle",
    (on) => on.wire,
    (figure) => number(figure.bytesPerCycle)
  )}\n\nk8s-lease-lock has no release, so it has no such cycle.`

const threadsTable = (run: Measurements): string =>
  markdown(
    ["server", "", "acquisitions/s", "wait p50", "wait p99", "violations"],
    run.servers.flatMap(({ server, threads }) =>
      threads.map(({ protocol, throughputPerSecond, violations, waitMillis }) => [
        server,
        about[protocol].name,
        number(throughputPerSecond),
        time(waitMillis.p50),
        time(waitMillis.p99),
        String(violations)
      ])
    ),
    2
  )

// What a run tried and has no figure for did not end in time.
const manyTable = (run: Measurements): string => {
  const { against, hasFailures } = run.settings
  const rows = run.servers.flatMap(({ many, server }) =>
    (hasFailures ? plan.many.of : []).flatMap(({ busyLoops, ids, kinds }) =>
      plan.able(server, { against, absent: [] }, kinds).map((kind) => {
        const figure = many.find((one) => one.kind === kind && one.ids === ids && one.busyLoops === busyLoops)
        return [
          server,
          about[kind].name,
          number(ids),
          String(busyLoops),
          figure === undefined ? `not within ${plan.many.patience}` : time(figure.millis),
          figure === undefined ? "" : String(figure.lost)
        ]
      })
    )
  )
  return tableOf(["server", "", "ids", "busy loops", "time", "lost"], rows)
}

const mixedTable = (run: Measurements): string => {
  const measured = run.servers.flatMap(({ mixed, server }) => (mixed === null ? [] : [{ mixed, server }]))
  if (measured.length === 0) return notMeasured
  const { contendersOfEach, seconds } = measured[0]!.mixed
  return `${contendersOfEach} processes of each contend for one RefreshToken, for ${seconds} s.\n\n${markdown(
    ["server", "", "acquisitions", "share", "timeouts", "errors", "wait p50", "wait p99", "longest wait", "overlaps"],
    measured.flatMap(({ mixed, server }) =>
      mixed.kinds.map((figures) => [
        server,
        about[figures.kind].name,
        number(figures.acquisitions),
        `${(figures.share * 100).toFixed(1)} %`,
        String(figures.timeouts),
        String(figures.errors),
        time(figures.waitP50),
        time(figures.waitP99),
        time(figures.waitMax),
        String(mixed.overlaps)
      ])
    ),
    2
  )}`
}

const memoryText = ({ memory }: Measurements): string =>
  `On the store in memory, which no peer has, a cycle without contention takes ${number(memory.cycleMicrosP50)} µs (p50). ${memory.contended.fibers} fibers of one process on one lock take it ${number(memory.contended.perSecond)} times a second, ${number(memory.contended.handoffMicrosP50)} µs from leaving to the next entry (p50). The plot and the table show what an id that was locked once, and is no longer held, leaves on the heap.\n\n${markdown(
    ["ids", "cycle p50", "bytes for each idle id"],
    memory.ids.map(({ bytesPerId, cycleMicrosP50, ids }) => [
      ids.toLocaleString("en-US"),
      `${number(cycleMicrosP50)} µs`,
      number(bytesPerId)
    ])
  )}`

const plotsNamed = (plots: ReadonlyArray<PlotLink>, names: ReadonlyArray<string>): string =>
  names
    .flatMap((name) => plots.filter(({ file }) => file.endsWith(`/${name}.svg`)))
    .map(({ file, title }) => `![${title}](${file})`)
    .join("\n\n")

const again = ({ settings }: Measurements): string => {
  const flags = [
    `--seconds ${settings.seconds}`,
    `--rounds ${settings.rounds}`,
    `--contenders ${settings.contenders.join(",")}`,
    `--mixed-seconds ${settings.mixedSeconds}`,
    ...(settings.servers ?? []).map((server) => `--server ${server}`)
  ]
  return `With \`KUBEBUILDER_ASSETS\` naming a folder with \`etcd\` and \`kube-apiserver\` (\`setup-envtest use -p env\`), on a quiet machine:

\`\`\`sh
npm run bench:peers -- --json peers.json   # more than an hour; writes this page as well
npm run bench:peers -- --page peers.json   # the page again, from the JSON
npm run bench:peers -- --quick             # a few minutes: shows that everything works
\`\`\`

Locks elsewhere need \`npm ci\` in \`bench/elsewhere/npm\`, and Debian's \`redis-server\` and \`etcd-client\`.

This page shows a run with \`${flags.join(" ")}\`. All processes record when they enter and leave their critical sections, on a clock that they share. An entry before the last leaving is an overlap. Services that have run for a while are compared: before its first contest as a kind, each process contends with itself, for an object of its own on the same server, until it has spent ${cpuMillis(settings.seconds) / 1000} seconds of CPU. A process that has just begun takes several times as much CPU for a cycle as one whose code is compiled: \`npm run bench\` shows it. The beginning of a contest counts: all processes want the lock at once, and those of kubelock open their watches.`
}
