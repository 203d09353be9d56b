/** The kinds of contenders: kubelock and each of its peers. */
import * as Resource from "../../src/Resource.ts"
import type { Envtest } from "../../src/testing/index.ts"

/** The kinds of contenders for an exclusive lock. The last two take no lock: they are the limits of all others. */
export const kinds = [
  "kubelock",
  "kubelock-before",
  "kubelock-lease",
  "dex",
  "lease-fast",
  "lease-default",
  "k8s-lease-lock",
  "relay",
  "raw"
] as const

/** The kinds of contenders for an exclusive lock. */
export type Kind = (typeof kinds)[number]

/** Any kind of contender: also kubelock's for permits of a semaphore, and for a shared lock. */
export type AnyKind = Kind | "semaphore" | "shared"

/** An API server that can be measured on. */
export type Server = Envtest.Server

/** The name of each kind, and what a reader must know about it. */
export const about: Readonly<Record<Kind, { readonly name: string; readonly text: string }>> = {
  kubelock: {
    name: "kubelock",
    text: "this library with its default policy, on a RefreshToken. It leaves gaps for Dex only if Dex contends, too (`sharedWithDex`)"
  },
  "kubelock-before": {
    name: "kubelock before",
    text: "an earlier build of this library (`--against`) with the same dependencies, on a RefreshToken"
  },
  "kubelock-lease": {
    name: "kubelock on a Lease",
    text: "this library on a Lease, like the next two"
  },
  dex: {
    name: "Dex",
    text: "the lock of Dex's refresh tokens (`src/testing/dex`): a poll every 100 ms, whole objects, on a RefreshToken"
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
    text: "npm's `@nullplatform/k8s-lease-lock`, lease 1 s (its shortest), polled every 100 ms. It has no release: a lock ends when its lease does, so it can do one lease a second"
  },
  relay: {
    name: "relay",
    text: "processes in a ring. Each waits until a label names it, by a watch filtered by its own name, and then names the next one with a raw write. A hand-over between processes needs at least this; no lock"
  },
  raw: {
    name: "raw writes",
    text: "one plain undici client: compare-and-swap writes to one annotation, one after the other; no lock"
  }
}

/** Whether the lock is a Lease rather than a RefreshToken. */
export const usesLease = (kind: Kind): boolean => /^lease-|-lease/.test(kind)

/** The resource that a kind locks by default. */
export const resourceOf = (kind: Kind): Resource.Resource => (usesLease(kind) ? Resource.lease : Resource.refreshToken)

/** Why a kind cannot be measured on a server: `undefined` if it can. */
export const unable = (kind: Kind, server: Server): string | undefined =>
  server === "apiextensions-apiserver" && usesLease(kind) ? "this server has no Leases" : undefined

/** Whether it is a limit rather than a lock. */
export const isLimit = (kind: Kind): boolean => kind === "relay" || kind === "raw"

/** Whether it is always one process, whatever the number of contenders. */
export const isAlone = (kind: AnyKind): boolean => kind === "raw"

/** Whether one round is enough because its own timings determine the figures. */
export const isSlow = (kind: AnyKind): boolean => kind === "lease-default" || kind === "k8s-lease-lock"
