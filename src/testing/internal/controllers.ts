/**
 * What Kubernetes' controllers do after a write: they establish a CustomResourceDefinition, and they delete what was in a
 * namespace or of a definition that is being deleted. A real cluster takes a moment; here it is done before the next
 * request.
 */
import { definition, established } from "./kinds/definition.ts"
import { kindsOf } from "./kinds/customResource.ts"
import type { Definition } from "./kinds/definition.ts"
import { namespace } from "./kinds/index.ts"
import type { KubeObject } from "./kubeObject.ts"
import { type ObjectTable, resourceKey } from "./objectTable.ts"

/** The controllers of a table. */
export class Controllers {
  readonly #table: ObjectTable
  #work: Array<() => void> = []

  constructor(table: ObjectTable) {
    this.#table = table
    this.#follow(resourceKey(definition), (object) => this.#definition(object))
    this.#follow(resourceKey(namespace), (object) => this.#namespace(object))
  }

  /** Does what is to be done. */
  run(): void {
    while (this.#work.length > 0) this.#work.shift()!()
  }

  #follow(resource: string, control: (object: KubeObject) => void): void {
    this.#table.watch(
      resource,
      {
        namespace: "",
        name: undefined,
        notify: ({ after }) => {
          if (after !== undefined) this.#work.push(() => control(after.object))
        }
      },
      0
    )
  }

  #definition(object: KubeObject): void {
    const key = resourceKey(definition)
    const { deletionTimestamp, name } = object.metadata
    if (deletionTimestamp !== undefined) {
      for (const kind of kindsOf(object as Definition)) this.#table.removeAll(resourceKey(kind), "")
      this.#table.remove(key, "", name)
      return
    }
    const next = established(object)
    if (next !== undefined) this.#table.put(key, this.#table.next(next))
  }

  #namespace({ metadata: { deletionTimestamp, name } }: KubeObject): void {
    if (deletionTimestamp === undefined) return
    for (const resource of this.#table.resources) this.#table.removeAll(resource, name)
    this.#table.remove(resourceKey(namespace), "", name)
  }
}
