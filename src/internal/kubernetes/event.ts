/** The Event that tells people news of an object (`v1`, as client-go's recorder writes it). Pure. */
import type { Announcement, ObjectSnapshot } from "../../ObjectStore.ts"
import * as Resource from "../../Resource.ts"
import * as rfc3339 from "../time/rfc3339.ts"

/** The URL path to which Events of a namespace are posted. */
export const eventsPath = (namespace: string): string => `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`

/** The Event. `at` is in milliseconds since 1970. Its name ends with a random part: no two are the same. */
export const eventOf = (
  resource: Resource.Resource,
  namespace: string,
  name: string,
  { resourceVersion, uid }: Pick<ObjectSnapshot, "uid" | "resourceVersion">,
  { message, reason, reporter }: Announcement,
  at: number
): object => {
  const time = rfc3339.format(Math.floor(at / 1000))
  return {
    apiVersion: "v1",
    kind: "Event",
    metadata: { generateName: `${name.slice(0, longestName)}.`, namespace },
    involvedObject: {
      apiVersion: Resource.apiVersion(resource),
      kind: resource.kind,
      name,
      namespace,
      uid,
      resourceVersion
    },
    type: "Normal",
    reason,
    message,
    source: { component: reporter },
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1
  }
}

// The server appends five characters to it, and a name has 253 at most.
const longestName = 200
