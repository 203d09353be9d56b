/** What the server knows about a kind of objects. */
import type { KubeObject } from "../kubeObject.ts"
import type { Cause } from "../reply.ts"
import { anything, type Schema } from "../schema.ts"

/** A column of the table that `kubectl get` shows. Columns of `priority` 1 are shown with `-o wide` only. */
export interface Column {
  readonly name: string
  readonly type: string
  readonly format?: string
  readonly description: string
  readonly priority?: number
  /** The cell of an object. `now` is in milliseconds. */
  readonly cell: (object: KubeObject, now: number) => unknown
}

/**
 * A kind.
 *
 * - `isBuiltIn`: objects are read into Go types, and fields that the type lacks are dropped. Otherwise it is a custom
 *   resource.
 * - `isModelled`: its fields are known. Objects of other kinds are kept as they are.
 * - `schema`: the object without `apiVersion`, `kind` and `metadata`.
 * - `createsOnUpdate`: PUT makes a missing object. `needsVersion`: PUT needs a resourceVersion.
 * - `hasStatus`: it has the subresource `status`. `subresources`: those that it has on a real server, and not here.
 * - `skeleton`: what an object has before anybody writes, so that nobody owns it.
 * - `prepare`: what the server fills in before it validates; `before` is absent for a new object.
 * - `validate`: what is wrong with an object.
 * - `terminate`: what a DELETE makes of an object that controllers have to clean up after.
 * - `selectable`: the fields of field selectors, besides name and namespace.
 */
export interface Kind {
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly singular: string
  readonly kind: string
  readonly namespaced: boolean
  readonly shortNames?: ReadonlyArray<string> | undefined
  readonly categories?: ReadonlyArray<string> | undefined
  readonly isBuiltIn: boolean
  readonly isModelled: boolean
  readonly schema: Schema
  readonly createsOnUpdate?: boolean
  readonly needsVersion?: boolean
  readonly hasStatus?: boolean
  readonly subresources?: ReadonlyArray<string>
  readonly nameIsLabel?: boolean
  readonly skeleton?: object
  readonly prepare?: (object: KubeObject, before: KubeObject | undefined) => KubeObject
  readonly validate?: (object: KubeObject, before: KubeObject | undefined) => ReadonlyArray<Cause>
  readonly terminate?: (object: KubeObject) => KubeObject
  readonly selectable?: Readonly<Record<string, (object: KubeObject) => string>>
  /** The message about a field that cannot be selected. */
  readonly notSelectable?: (field: string) => string
  readonly columns?: ReadonlyArray<Column>
}

/** `v1`, or `apps/v1`. */
export const apiVersionOf = ({ group, version }: { readonly group: string; readonly version: string }): string =>
  group === "" ? version : `${group}/${version}`

/** A kind of which only the names are known. */
export const opaque = (
  names: Pick<Kind, "group" | "version" | "plural" | "kind" | "namespaced">,
  isBuiltIn: boolean
): Kind => ({ ...names, singular: names.kind.toLowerCase(), isBuiltIn, isModelled: false, schema: anything })
