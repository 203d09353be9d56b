/** A suite of restores of etcd, where there is a tool for them. */
import * as Result from "effect/Result"
import { describeServers } from "../cluster/describeServers.ts"
import { describeMissing } from "../../tools/notRun.ts"
import * as Restore from "./restore.ts"

export const describeRestore = (suite: () => void): void => {
  if (Result.isFailure(Restore.etcdctl)) {
    return describeMissing("a restore of etcd", `NOT RUN, ${Restore.etcdctl.failure}`)
  }
  describeServers("a restore of etcd", suite, (server) => server === "kube-apiserver")
}
