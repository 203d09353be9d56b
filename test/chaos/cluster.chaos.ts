/** Chaos on two API servers and three etcd members: 16 processes contend, and four more share a rotating token. */
import { describeChaos } from "./describeChaos.ts"

describeChaos("chaos on several servers", "cluster")
