/** Who contends: kubelock, and each of its peers. */
import type { Server } from "../../src/testing/envtest/Assets.ts"

/** Who contends. The last two take no lock: they are the limits of all others. */
export const kinds = ["kubelock", "dex", "lease-fast", "lease-default", "k8s-lease-lock", "relay", "raw"] as const

/** Who contends. */
export type Kind = (typeof kinds)[number]

/** What a reader has to know of each. */
export const about: Readonly<Record<Kind, { readonly name: string; readonly text: string }>> = {
  kubelock: {
    name: "kubelock",
    text: "this library with its default policy, on a RefreshToken; it leaves gaps for Dex only where Dex contends, too (`besideDex`)"
  },
  dex: {
    name: "Dex",
    text: "the lock of Dex's refresh tokens (`bench/dex.ts`): a poll every 100 ms, whole objects, on a RefreshToken"
  },
  "lease-fast": {
    name: "client-go, fastest",
    text: "a Lease as client-go's leader election takes it, written from its documented algorithm, released at the end of each leadership (`ReleaseOnCancel`); lease 1 s (a Lease counts whole seconds), renew deadline 0.5 s, retry period 10 ms"
  },
  "lease-default": {
    name: "client-go, default",
    text: "the same with the timings of Kubernetes' own components: lease 15 s, renew deadline 10 s, retry period 2 s"
  },
  "k8s-lease-lock": {
    name: "k8s-lease-lock",
    text: "npm's `@nullplatform/k8s-lease-lock`, lease 1 s (its shortest), asked every 100 ms. It has no release: a lock ends when its lease does, so that a lease is all it can do in a second"
  },
  relay: {
    name: "relay",
    text: "processes in a ring, each of which waits until a label names it, by a watch filtered by its own name, and then names the next by one of the raw writes: what a hand-over between processes cannot do without; no lock"
  },
  raw: {
    name: "raw writes",
    text: "one plain undici client: compare-and-swap writes to one annotation, one after the other; no lock"
  }
}

/** Why somebody cannot be measured on a server; `undefined` where they can. */
export const unable = (kind: Kind, server: Server): string | undefined =>
  server === "apiextensions-apiserver" && usesLease(kind) ? "this server has no Leases" : undefined

/** Whether it is a limit rather than a lock. */
export const isLimit = (kind: Kind): boolean => kind === "relay" || kind === "raw"

/** Whether it is one process, whatever the number of contenders. */
export const isAlone = (kind: Kind): boolean => kind === "raw"

/** Whether one round is enough: what their timings allow hardly varies. */
export const isSlow = (kind: Kind): boolean => kind === "lease-default" || kind === "k8s-lease-lock"

/** Whether the lock is a Lease rather than a RefreshToken. */
export const usesLease = (kind: Kind): boolean => kind.startsWith("lease-") || kind === "k8s-lease-lock"
