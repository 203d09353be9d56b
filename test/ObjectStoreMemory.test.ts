import { layer } from "@effect/vitest"
import * as Layer from "effect/Layer"
import * as Lock from "../src/Lock.ts"
import { election } from "./contract/election.ts"
import * as LockPolicy from "../src/LockPolicy.ts"
import { content } from "./contract/content.ts"
import { behaviour } from "./contract/lock.ts"
import { contract } from "./contract/objectStore.ts"
import { session } from "./contract/session.ts"
import { twoKeys } from "./contract/twoKeys.ts"
import * as World from "./utils/World.ts"

layer(World.layerMemory, { excludeTestServices: true })("ObjectStoreMemory", contract)

layer(World.layerMemory, { excludeTestServices: true })("ObjectStoreMemory with content", content)

layer(Lock.layer().pipe(Layer.provideMerge(World.layerMemory)), { excludeTestServices: true })(
  "Lock on ObjectStoreMemory",
  behaviour(LockPolicy.neutralAnnotation)
)

layer(World.layerMemory, { excludeTestServices: true })("locks under sessions on ObjectStoreMemory", session)

layer(Lock.layer({ policy: LockPolicy.make({ session: true }) }).pipe(Layer.provideMerge(World.layerMemory)), {
  excludeTestServices: true
})("Lock under a session on ObjectStoreMemory", behaviour(LockPolicy.neutralAnnotation))

layer(World.layerMemory, { excludeTestServices: true })("elections on ObjectStoreMemory", election)

layer(World.layerMemory, { excludeTestServices: true })("two keys on ObjectStoreMemory", twoKeys)
