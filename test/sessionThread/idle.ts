/** A process that has a thread for its sessions, does nothing with it, and never closes the layer: it ends when all its work is done. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as ObjectStoreKubernetes from "../../src/ObjectStoreKubernetes.ts"
import * as Resource from "../../src/Resource.ts"
import * as SessionThread from "../../src/SessionThread.ts"

const store = ObjectStoreKubernetes.layerKubeConfig({ resource: Resource.configMap })

await Effect.runPromise(Layer.buildWithScope(Layer.provide(SessionThread.layer(), store), Scope.makeUnsafe()))
