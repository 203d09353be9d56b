/** The Job whose pods contend, and the service account that it needs: pure. */
import * as Resource from "../../../Resource.ts"
import * as names from "./names.ts"

/**
 * What to run.
 *
 * - `namespace`: without it, that of the kubeconfig with which the manifest is applied.
 * - `command`: how a pod starts the program. `args`: the flags of the test.
 * - `seconds`: how long the test lasts once all pods are there.
 */
export interface Options {
  readonly name: string
  readonly namespace: string | undefined
  readonly pods: number
  readonly image: string
  readonly command: ReadonlyArray<string>
  readonly args: ReadonlyArray<string>
  readonly seconds: number
  readonly resource: Resource.Resource
  readonly ids: number
}

/** How long pods may take to be scheduled and to pull their image, in seconds. Our choice. */
const patience = 900

/** The objects, in the order in which they are made. */
export const objects = (options: Options): ReadonlyArray<object> => {
  const { name, namespace } = options
  const metadata = { name, ...(namespace === undefined ? {} : { namespace }), labels: { [label]: name } }
  const rbac = "rbac.authorization.k8s.io"
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata },
    { apiVersion: `${rbac}/v1`, kind: "Role", metadata, rules: rulesOf(options) },
    {
      apiVersion: `${rbac}/v1`,
      kind: "RoleBinding",
      metadata,
      roleRef: { apiGroup: rbac, kind: "Role", name },
      subjects: [{ kind: "ServiceAccount", name, ...(namespace === undefined ? {} : { namespace }) }]
    },
    { apiVersion: "batch/v1", kind: "Job", metadata, spec: jobOf(options) }
  ]
}

const label = "app.kubernetes.io/name"

// RBAC cannot restrict "create" to names.
const rulesOf = ({ ids, name, resource }: Options): ReadonlyArray<object> => {
  const locked = { apiGroups: [resource.group], resources: [resource.plural] }
  const configMaps = { apiGroups: [Resource.configMap.group], resources: [Resource.configMap.plural] }
  const isConfigMap = Resource.name(resource) === Resource.name(Resource.configMap)
  return [
    { ...configMaps, verbs: ["create"] },
    ...(isConfigMap ? [] : [{ ...locked, verbs: ["create"] }]),
    {
      ...configMaps,
      resourceNames: [names.barrier(name), ...names.witnesses(name, ids)],
      verbs: ["get", "patch"]
    },
    { ...locked, resourceNames: names.locks(name, ids), verbs: ["get", "patch", "watch"] }
  ]
}

// It meets the restricted Pod Security Standard. A pod that fails leaves a result that is not whole, so none is tried again.
const jobOf = ({ args, command, image, name, pods, seconds }: Options): object => ({
  completionMode: "Indexed",
  completions: pods,
  parallelism: pods,
  backoffLimit: 0,
  activeDeadlineSeconds: Math.ceil(seconds) + patience,
  template: {
    metadata: { labels: { [label]: name } },
    spec: {
      restartPolicy: "Never",
      serviceAccountName: name,
      topologySpreadConstraints: [
        {
          maxSkew: 1,
          topologyKey: "kubernetes.io/hostname",
          whenUnsatisfiable: "ScheduleAnyway",
          labelSelector: { matchLabels: { [label]: name } }
        }
      ],
      securityContext: { runAsNonRoot: true, runAsUser: 65_532, seccompProfile: { type: "RuntimeDefault" } },
      containers: [
        {
          name: "bench",
          image,
          command,
          args,
          env: [
            {
              name: names.uidVariable,
              valueFrom: { fieldRef: { fieldPath: "metadata.labels['batch.kubernetes.io/controller-uid']" } }
            },
            { name: "HOME", value: "/tmp" }
          ],
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ["ALL"] }
          },
          volumeMounts: [{ name: "tmp", mountPath: "/tmp" }]
        }
      ],
      volumes: [{ name: "tmp", emptyDir: {} }]
    }
  }
})
