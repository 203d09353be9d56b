/**
 * Says what refused a request, from the message of a `Status`. Pure.
 *
 * The text of an admission webhook or of a policy is free, and may quote the object with its secrets. So a message is
 * repeated only as far as it has a form that is known and cannot quote one.
 */

/**
 * What refused a request, and the part of its message that can be repeated.
 *
 * - `Webhook`: an admission webhook. `Policy`: a ValidatingAdmissionPolicy or a MutatingAdmissionPolicy.
 * - `Authorizer`: the user lacks a right.
 * - `Quota`: a ResourceQuota is used up.
 * - `Terminating`: the namespace is being deleted.
 */
export interface Refusal {
  readonly by: "Webhook" | "Policy" | "Authorizer" | "Quota" | "Terminating"
  readonly detail: string
}

/** What refused a request. `undefined` if the message has none of the known forms. */
export const refusalOf = (message: string | undefined): Refusal | undefined => {
  if (message === undefined) return undefined
  for (const [by, form, words] of forms) {
    const match = form.exec(message)
    if (match !== null) return { by, detail: words(match[1]!) }
  }
  return undefined
}

/** What the API server could not reach or use, from the message of a 5xx: its etcd, or a webhook. `undefined` if it says neither. */
export const outageOf = (message = ""): string | undefined => {
  const webhook = /failed calling webhook "([\w.-]{1,253})"/.exec(message)?.[1]
  return webhook === undefined
    ? /\betcdserver: [a-z ]+(?:: [a-z ]+)*/.exec(message)?.[0].trimEnd()
    : `the admission webhook "${webhook}" cannot be called`
}

/** The part of a `Status` reason that can be repeated: the constants of `metav1.StatusReason`. A webhook may send any text. */
export const knownReason = (reason: string | undefined): string | undefined =>
  reason !== undefined && reasons.has(reason) ? reason : undefined

// Each message begins with the object, `secrets "a" is forbidden: `, or with the resource, `secrets is forbidden: `, except that of
// a webhook.
const subject = String.raw`^(?:[a-z0-9.-]+(?:/[a-z]+)?(?: "[^"]*")? is )?forbidden: `
const amounts = String.raw`[\w./=,-]+`

const forms: ReadonlyArray<readonly [Refusal["by"], RegExp, (found: string) => string]> = [
  [
    "Webhook",
    /^admission webhook "([\w.-]{1,253})" denied the request/,
    (name) => `the admission webhook "${name}" denied it`
  ],
  [
    "Policy",
    new RegExp(`${subject}((?:Validating|Mutating)AdmissionPolicy '[\\w.-]{1,253}')`),
    (policy) => `the ${policy} denied it`
  ],
  [
    "Authorizer",
    new RegExp(
      `${subject}(User "[^"]*" cannot [a-z]+ (?:resource "[\\w./-]+" in API group "[\\w.-]*"|path "[^"]*")(?: in the namespace "[\\w.-]+"| at the cluster scope)?)`
    ),
    (text) => text
  ],
  [
    "Quota",
    new RegExp(`${subject}(exceeded quota: [\\w.-]+, requested: ${amounts}, used: ${amounts}, limited: ${amounts})$`),
    (text) => text
  ],
  [
    "Terminating",
    new RegExp(`${subject}unable to create new content in namespace ([\\w.-]+) because it is being terminated$`),
    (namespace) => `the namespace ${namespace} is being deleted`
  ]
]

const reasons: ReadonlySet<string> = new Set([
  "Unauthorized",
  "Forbidden",
  "NotFound",
  "AlreadyExists",
  "Conflict",
  "Gone",
  "Invalid",
  "ServerTimeout",
  "StoreReadError",
  "Timeout",
  "TooManyRequests",
  "BadRequest",
  "MethodNotAllowed",
  "NotAcceptable",
  "RequestEntityTooLarge",
  "UnsupportedMediaType",
  "InternalError",
  "Expired",
  "ServiceUnavailable"
])
