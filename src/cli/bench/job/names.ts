/** The names of the objects of a Job: pure. */

const numbered = (prefix: string, count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `${prefix}-${index}`)

/** The object on which pods wait for each other. */
export const barrier = (job: string): string => job

/** What is locked. */
export const locks = (job: string, ids: number): ReadonlyArray<string> => numbered(`${job}-lock`, ids)

/** The witness of each of them. */
export const witnesses = (job: string, ids: number): ReadonlyArray<string> => numbered(`${job}-witness`, ids)

/** What each pod leaves. */
export const results = (job: string, pods: number): ReadonlyArray<string> => numbered(`${job}-result`, pods)

/** The environment variable with the UID of the Job, which owns all of them. */
export const uidVariable = "KUBELOCK_JOB_UID"

/** The environment variable with the number of the pod, which Kubernetes sets. */
export const indexVariable = "JOB_COMPLETION_INDEX"
