import { assert, describe, it } from "@effect/vitest"
import type * as LockError from "../../../src/LockError.ts"
import * as responseError from "../../../src/internal/kubernetes/responseError.ts"

const info = { id: "a", object: "secrets/a", verb: "patch" }

const respond = (status: number, body: object) => ({
  status,
  headers: {},
  body: JSON.stringify({ kind: "Status", status: "Failure", code: status, ...body })
})

const errorOf = (status: number, body: object) => responseError.toError(respond(status, body), info)

const detailOf = (error: LockError.StoreError) => ("detail" in error ? error.detail : error.message)

const secret = "czNjcjN0LXJlZnJlc2g="
const quoting = {
  message: `admission webhook "policy.example.com" denied the request: data.value "${secret}" is too short`,
  reason: secret,
  details: { causes: [{ reason: secret, message: secret, field: secret }] }
}

describe("the denial of a webhook", () => {
  it("names the webhook with each status, and repeats nothing of its text", () => {
    for (const status of [400, 401, 403, 404, 405, 408, 409, 413, 422, 429, 500, 503]) {
      const error = errorOf(status, quoting)
      assert.include(detailOf(error), 'the admission webhook "policy.example.com" denied it', String(status))
      assert.notInclude(JSON.stringify(error) + error.message, secret)
      const passes = status === 408 || status === 429 || status >= 500
      assert.strictEqual(error._tag, passes ? "LockUnavailable" : status === 403 ? "LockForbidden" : "LockRejected")
    }
  })

  it("is no failed precondition, whatever it says", () => {
    for (const [status, reason] of [
      [409, "Conflict"],
      [422, "Invalid"]
    ] as const) {
      assert.isFalse(responseError.isPreconditionFailed(respond(status, { ...quoting, reason })))
    }
  })
})

describe("a 403", () => {
  const subject = 'secrets "a" is forbidden: '

  it("repeats what it knows cannot quote the object", () => {
    const known = [
      ['User "u" cannot patch resource "secrets" in API group "" in the namespace "default"'],
      ['User "u" cannot get resource "nodes" in API group "" at the cluster scope'],
      ["exceeded quota: few, requested: count/secrets=1, used: count/secrets=3, limited: count/secrets=3"],
      [
        "unable to create new content in namespace default because it is being terminated",
        "the namespace default is being deleted"
      ],
      [
        `ValidatingAdmissionPolicy 'p' with binding 'b' denied request: ${secret}`,
        "the ValidatingAdmissionPolicy 'p' denied it"
      ]
    ] as const
    for (const [text, detail = text] of known) {
      assert.deepInclude(errorOf(403, { message: subject + text, reason: "Forbidden" }), { detail })
    }
    assert.deepInclude(errorOf(403, { message: 'forbidden: User "u" cannot get path "/version"' }), {
      detail: 'User "u" cannot get path "/version"'
    })
  })

  it("repeats nothing else, not even after words that it knows", () => {
    for (const text of [
      secret,
      `exceeded quota: few, requested: ${secret} ${secret}`,
      `because User "u" cannot get resource "secrets" in API group "": ${secret}`,
      `User "u" cannot patch resource "secrets" in API group "" in the namespace "default": ${secret}`
    ]) {
      const error = errorOf(403, { message: subject + text, reason: secret })
      assert.notInclude(JSON.stringify(error) + error.message, secret)
    }
    const page = responseError.toError({ status: 403, headers: {}, body: `<html>${secret}` }, info)
    assert.notInclude(page.message, secret)
  })
})

it("a reason that is none of Kubernetes' own is not repeated", () => {
  for (const status of [409, 418, 422, 503]) {
    const error = errorOf(status, { reason: secret })
    assert.notInclude(JSON.stringify(error) + error.message, secret)
  }
})
