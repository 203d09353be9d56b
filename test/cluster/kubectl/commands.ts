/** The commands of `kubectl` whose output and effect the embedded server shares with a real one, in their order. */

/** A command. `stdin` is its input, in which `@uid` is the uid of the ConfigMap `a`; `editor` is what `kubectl edit` runs instead of an editor. */
export interface Command {
  readonly line: string
  readonly stdin?: string
  readonly editor?: string
}

/** A watch that runs while the commands of `during` do, and ends when it has printed `lines` lines. */
export interface Watch {
  readonly line: string
  readonly lines: number
  readonly during: ReadonlyArray<string>
}

export type Step = Command | Watch

const object = (value: object) => JSON.stringify(value)
const config = (name: string, data: object, more: object = {}) =>
  object({ apiVersion: "v1", kind: "ConfigMap", metadata: { name, ...more }, data })

const definition = object({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "gates.acme.io" },
  spec: {
    group: "acme.io",
    scope: "Namespaced",
    names: { plural: "gates", singular: "gate", kind: "Gate", shortNames: ["gt"] },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        additionalPrinterColumns: [{ name: "Size", type: "integer", jsonPath: ".spec.size" }],
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: {
              spec: {
                type: "object",
                properties: { size: { type: "integer" }, mode: { type: "string", enum: ["open", "closed"] } }
              }
            }
          }
        }
      }
    ]
  }
})
const gate = (name: string, spec: object) =>
  object({ apiVersion: "acme.io/v1", kind: "Gate", metadata: { name }, spec })

const event = object({
  apiVersion: "v1",
  kind: "Event",
  metadata: { name: "a.1", namespace: "shop" },
  involvedObject: { apiVersion: "v1", kind: "ConfigMap", name: "a", namespace: "shop", uid: "@uid" },
  reason: "LeaderElection",
  message: "me became leader",
  type: "Normal",
  source: { component: "kubelock" },
  firstTimestamp: "2026-01-01T00:00:00Z",
  lastTimestamp: "2026-01-01T00:00:00Z",
  count: 1
})

/** All commands but the first use the namespace `shop`. */
export const steps: ReadonlyArray<Step> = [
  { line: "create namespace shop" },
  { line: "get namespace shop" },
  { line: "describe namespace shop" },
  { line: "create configmap a --from-literal=x=1" },
  { line: "create configmap a --from-literal=x=1" },
  { line: "create configmap dry --from-literal=x=1 --dry-run=server" },
  { line: "create configmap dry --from-literal=x=1 --dry-run=client -o name" },
  { line: "get configmap a" },
  { line: "get configmap a -o wide --show-labels" },
  { line: "get configmap a -o yaml" },
  { line: "get configmap a -o jsonpath={.data.x}" },
  { line: "get configmap missing" },
  { line: "get configmap missing --ignore-not-found" },
  { line: "get cm,secrets" },
  { line: "get pods.acme.example" },
  { line: "create secret generic s --from-literal=password=hunter2" },
  { line: "get secret s -o yaml" },
  { line: "describe secret s" },
  { line: "get secrets --field-selector type=Opaque -o name" },
  { line: "get secrets --field-selector type=other" },
  { line: "label configmap a team=x" },
  { line: "label configmap a team=y" },
  { line: "label configmap a team=y --overwrite" },
  { line: "get configmaps -l team=y" },
  { line: "get configmaps -l team!=y,team" },
  { line: "annotate configmap a note=one" },
  { line: "annotate configmap a note-" },
  { line: "create -f -", stdin: event },
  { line: "get events" },
  { line: "get events -o wide --field-selector involvedObject.name=a" },
  { line: "describe configmap a" },
  { line: "create -f -", stdin: config("b", { x: "1" }) },
  { line: "create -f -", stdin: config("typo", { x: "1" }).replace('"data"', '"dota"') },
  { line: "create -f - --validate=false", stdin: config("number", { x: 1 }) },
  { line: "apply -f -", stdin: config("c", { x: "1", y: "1" }) },
  { line: "apply -f -", stdin: config("c", { x: "1", y: "1" }) },
  { line: "apply -f -", stdin: config("c", { x: "2" }, { labels: { l: "1" } }) },
  { line: "apply -f - --dry-run=server", stdin: config("c", { x: "3" }) },
  { line: "diff -f -", stdin: config("c", { x: "2" }, { labels: { l: "1" } }) },
  { line: "get configmap c -o yaml" },
  { line: "apply --server-side -f -", stdin: config("c", { x: "5" }) },
  { line: "apply --server-side --force-conflicts -f -", stdin: config("c", { x: "5" }) },
  { line: "get configmap c -o yaml --show-managed-fields" },
  { line: "apply -f -", stdin: config("c", { x: "2" }) },
  { line: "apply --server-side --field-manager=other --force-conflicts -f -", stdin: config("c", { x: "6" }) },
  { line: "get configmap c -o yaml" },
  { line: "apply -f -", stdin: config("c", { x: "2" }, { labels: { l: "1" } }) },
  { line: "apply --server-side -f -", stdin: config("ssa", { x: "1" }) },
  { line: "apply --server-side -f -", stdin: config("ssa", { x: "1" }) },
  { line: "apply --server-side --field-manager=other -f -", stdin: config("ssa", { y: "1" }) },
  { line: "apply --server-side --field-manager=other -f -", stdin: config("ssa", { x: "2" }) },
  { line: "apply --server-side --field-manager=other --force-conflicts -f -", stdin: config("ssa", { x: "2" }) },
  { line: "get configmap ssa -o jsonpath={.data}" },
  { line: "get configmap ssa -o jsonpath={.metadata.managedFields[*].manager}" },
  { line: `patch configmap c -p {"data":{"z":"3","x":null}}` },
  { line: `patch configmap c --type=merge -p {"data":{"z":"4"}}` },
  {
    line: `patch configmap c --type=json -p [{"op":"test","path":"/data/z","value":"4"},{"op":"remove","path":"/data/z"}]`
  },
  { line: `patch configmap c --type=json -p [{"op":"test","path":"/data/z","value":"4"}]` },
  { line: `patch configmap c -p {"data":{"z":"3"}} --dry-run=server -o jsonpath={.data}` },
  { line: "edit configmap b", editor: `sed -i s/x:/w:/` },
  { line: "edit configmap b", editor: "true" },
  { line: "replace -f -", stdin: config("b", { x: "9" }) },
  { line: "get configmap b -o jsonpath={.data}" },
  { line: "apply -f -", stdin: definition },
  { line: "wait --for=condition=Established crd/gates.acme.io --timeout=20s" },
  { line: "get crd gates.acme.io -o name" },
  { line: "apply -f -", stdin: gate("g", { size: 3 }) },
  { line: "get gates" },
  { line: "get gt g -o jsonpath={.spec}" },
  { line: "apply -f -", stdin: gate("g", { size: 4, mode: "open" }) },
  { line: "apply -f -", stdin: gate("g", { size: 4, mode: "ajar" }) },
  { line: `patch gate g --type=merge -p {"spec":{"size":5}}` },
  { line: `patch gate g -p {"spec":{"size":5}}` },
  { line: "explain configmap.data" },
  {
    line: "create -f -",
    stdin: object({
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { name: "l" },
      spec: { holderIdentity: "me", leaseDurationSeconds: 15, renewTime: "2026-01-01T00:00:00.000000Z" }
    })
  },
  { line: "get leases" },
  { line: "describe lease l" },
  { line: `patch lease l --type=merge -p {"spec":{"leaseDurationSeconds":0}}` },
  { line: "auth can-i create configmaps" },
  { line: "auth can-i delete leases.coordination.k8s.io/l" },
  {
    line: "get configmap a --watch --output-watch-events",
    lines: 4,
    during: ["label configmap a w=1", "delete configmap a"]
  },
  { line: "delete configmap b --dry-run=server" },
  { line: "get configmap b -o name" },
  { line: "delete configmap b" },
  { line: "delete configmap b" },
  { line: "wait --for=delete configmap/b --timeout=5s" },
  { line: "delete configmaps -l l=1" },
  { line: "delete secrets --all" },
  { line: "delete gate g" },
  { line: "delete crd gates.acme.io" }
]
