/** The built-in kinds whose fields the server knows. */
import { configMap } from "./configMap.ts"
import { definition } from "./definition.ts"
import { event } from "./event.ts"
import type { Kind } from "./kind.ts"
import { lease } from "./lease.ts"
import { namespace } from "./namespace.ts"
import { secret } from "./secret.ts"

export { namespace } from "./namespace.ts"

export const builtInKinds: ReadonlyArray<Kind> = [namespace, configMap, event, secret, lease, definition]
