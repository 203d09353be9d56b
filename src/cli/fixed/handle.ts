/** The handle of a lock that outlives the program which acquired it: one word that says which lock, and which hold of it. Pure. */
import * as Option from "effect/Option"
import * as LockQueue from "../../LockQueue.ts"
import * as Resource from "../../Resource.ts"
import * as target from "../target.ts"

/** What a handle says. */
export interface Handle {
  readonly namespace: string
  readonly resource: Resource.Resource
  readonly name: string
  readonly holderId: string
  readonly fencingToken: bigint
}

/** Writes a handle. */
export const format = ({ fencingToken, holderId, name, namespace, resource }: Handle): string =>
  [namespace, target.nameOf(resource), name, holderId, fencingToken].join(":")

/** Reads a handle. */
export const parse = (text: string): Option.Option<Handle> => {
  const [namespace = "", resourceName = "", name = "", holderId = "", token = "", ...rest] = text.trim().split(":")
  if (rest.length > 0 || namespace === "" || name === "" || LockQueue.processIdOf(holderId) === "") return Option.none()
  if (!/^\d+$/.test(token)) return Option.none()
  const fencingToken = BigInt(token)
  return Option.map(Resource.fromName(resourceName), (resource) => ({
    namespace,
    resource,
    name,
    holderId,
    fencingToken
  }))
}
