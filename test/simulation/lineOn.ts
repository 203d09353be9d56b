/** The line on the object of a lock with permits. Read without the library's help. */
import type { ObjectSnapshot } from "../../src/ObjectStore.ts"
import type * as History from "./history.ts"
import { makeNames, type VersionOf } from "./server.ts"

/** The key of the line. */
export const key = "kubelock.dev/lock"

/** How many permits a writer has: all. */
export const all = Number.MAX_SAFE_INTEGER

/** Reads the line, on a server whose clock is so far ahead of true time. */
export const lineOn = (ahead: number): VersionOf => {
  const names = makeNames()
  return ({ annotations, labels, resourceVersion }: ObjectSnapshot): History.Version => {
    const mark = annotations[key]
    const tails = Object.keys(annotations).flatMap((name) =>
      name.startsWith(`${key}-lease-`) ? [name.slice(`${key}-lease-`.length)] : []
    )
    let left = mark === "shared lock" ? all : Number(/^semaphore of (\d+)$/.exec(mark ?? "")?.[1] ?? 0)
    const line = tails
      .flatMap((tail) => {
        const place = annotations[`${key}-place-${tail}`]
        const [holderId = "", amount, expiry = ""] = annotations[`${key}-lease-${tail}`]!.split(" ")
        const permits = amount === "exclusive" ? all : amount === "shared" ? 1 : Number(amount)
        return place === undefined
          ? []
          : [{ owner: names.plain(holderId), permits, place: Number(place), until: Date.parse(expiry) - ahead }]
      })
      .toSorted((a, b) => a.place - b.place)
      .map((lease): History.LeaseOn => {
        const granted = Math.min(left, lease.permits)
        left = granted < lease.permits ? 0 : left - granted
        return Object.assign(lease, { granted })
      })
    const isOthers = (name: string) => name !== key && !/^kubelock\.dev\/lock-(lease|place|turn)-/.test(name)
    const others = [
      ...Object.entries(annotations).filter(([name]) => isOthers(name)),
      ...Object.entries(labels).flatMap(([name, value]) => (name === `${key}-next` ? [] : [[`label ${name}`, value]]))
    ]
    const next = labels[`${key}-next`]
    return {
      version: Number(resourceVersion),
      lock: undefined,
      second: undefined,
      queue: { line: [], arrivals: [], next: next === undefined ? undefined : names.process(next) },
      others: Object.fromEntries(others),
      written: undefined,
      line: { mark, leases: line }
    }
  }
}
