import { layer } from "@effect/vitest"
import * as Layer from "effect/Layer"
import * as SharedLock from "../src/SharedLock.ts"
import { sharedLock } from "./contract/sharedLock.ts"
import * as World from "./utils/World.ts"

layer(Layer.provideMerge(SharedLock.layer(), World.layerMemory), { excludeTestServices: true })(
  "shared locks in memory",
  sharedLock
)
