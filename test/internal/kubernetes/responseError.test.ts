import { assert, describe, it } from "@effect/vitest"
import type * as LockError from "../../../src/LockError.ts"
import * as responseError from "../../../src/internal/kubernetes/responseError.ts"

const info = { id: "a", object: "secrets/a", namespaced: true, verb: "patch" }

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
    const creation = 'User "u" cannot create resource "configmaps" in API group "" in the namespace "x"'
    assert.deepInclude(errorOf(403, { message: `configmaps is forbidden: ${creation}` }), { detail: creation })
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

  it("names what refused, each with its own advice", () => {
    const advice = [
      ['User "u" cannot patch resource "secrets" in API group "" in the namespace "x"', "Authorizer", "Grant the verb"],
      [
        "exceeded quota: q, requested: count/secrets=1, used: count/secrets=1, limited: count/secrets=1",
        "Quota",
        "quota"
      ],
      ["unable to create new content in namespace x because it is being terminated", "Terminating", "namespace that"],
      ["ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", "Policy", "policy"]
    ] as const
    for (const [text, refusedBy, words] of advice) {
      const error = errorOf(403, { message: subject + text, reason: "Forbidden" })
      assert.deepInclude(error, { _tag: "LockForbidden", refusedBy })
      assert.include(error.message.split(". ").at(-1)!, words)
    }
    const unknown = errorOf(403, { message: "no", reason: "Forbidden" })
    assert.notProperty(unknown, "refusedBy")
    assert.include(unknown.message, "--dry-run=server")
    const webhook = errorOf(400, {
      message: 'admission webhook "w.example.com" denied the request without explanation'
    })
    assert.deepInclude(webhook, { _tag: "LockRejected", refusedBy: "Webhook" })
    assert.include(webhook.message, "Exempt the object from the webhook")
  })
})

describe("a 404", () => {
  const missing = (details: object, namespaced: boolean) => {
    const error = responseError.toError(respond(404, { reason: "NotFound", details }), { ...info, namespaced })
    return error._tag === "LockNotFound" ? error.missing : error
  }

  it("says whether the object, its namespace or its resource is missing", () => {
    assert.strictEqual(missing({ name: "a", kind: "secrets" }, true), "object")
    assert.strictEqual(missing({ name: "default", kind: "namespaces" }, true), "namespace")
    assert.strictEqual(missing({}, true), "resource")
  })

  it("of a namespace that is itself the locked object says that the object is missing", () => {
    assert.strictEqual(missing({ name: "a", kind: "namespaces" }, false), "object")
    assert.strictEqual(missing({ name: "a", kind: "namespaces", group: "example.com" }, true), "object")
  })
})

describe("a server that is in trouble", () => {
  it("says what it cannot use: its etcd, or a webhook", () => {
    const text = 'failed calling webhook "w.example.com": Post "https://w.svc": connection refused'
    for (const [message, words] of [
      ["etcdserver: mvcc: database space exceeded", "etcdserver: mvcc: database space exceeded"],
      ["rpc error: code = Unknown desc = etcdserver: request timed out", "etcdserver: request timed out"],
      [`Internal error occurred: ${text}`, 'the admission webhook "w.example.com" cannot be called'],
      [`something else: ${secret}`, "InternalError"]
    ] as const) {
      const error = errorOf(500, { message, reason: "InternalError" })
      assert.deepInclude(error, { _tag: "LockUnavailable", detail: `the server answered 500 (${words})` })
    }
  })

  it("is not believed to be a middlebox: a 429 in plain text is its own", () => {
    const headers = { "content-type": "text/plain; charset=utf-8", "retry-after": "7" }
    const error = responseError.toError({ status: 429, headers, body: "Too many requests" }, info)
    assert.deepInclude(error, { _tag: "LockUnavailable", detail: "the server answered 429" })
  })
})

it("an object whose annotations are full is rejected with their limit, and each field is named once", () => {
  const cause = { reason: "FieldValueTooLong", message: "Too long", field: "metadata.annotations" }
  const error = errorOf(422, { reason: "Invalid", details: { causes: [cause, cause] } })
  assert.deepInclude(error, {
    _tag: "LockRejected",
    detail:
      "Invalid (metadata.annotations): the annotations of an object may have 256 KiB at most. Remove what nobody needs, or use another object"
  })
})

it("a reason that is none of Kubernetes' own is not repeated", () => {
  for (const status of [409, 418, 422, 503]) {
    const error = errorOf(status, { reason: secret })
    assert.notInclude(JSON.stringify(error) + error.message, secret)
  }
})
