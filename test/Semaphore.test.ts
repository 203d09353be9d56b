import { layer } from "@effect/vitest"
import * as Layer from "effect/Layer"
import * as Semaphore from "../src/Semaphore.ts"
import { semaphore } from "./contract/semaphore.ts"
import * as World from "./utils/World.ts"

layer(Layer.provideMerge(Semaphore.layer(), World.layerMemory), { excludeTestServices: true })(
  "semaphores in memory",
  semaphore
)
