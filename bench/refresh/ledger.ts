/** What an OpenID provider saw of its tokens, in its own words. */
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"

/** A refresh token spent: by which service, and what it got for it. Tokens are named by a digest. */
export const Refresh = Schema.Struct({
  service: Schema.String,
  spent: Schema.String,
  issued: Schema.String,
  at: Schema.Finite
})

/** A refresh that was refused. */
export const Refusal = Schema.Struct({
  service: Schema.String,
  token: Schema.String,
  problem: Schema.String,
  at: Schema.Finite
})

/** All of it: refreshes, refusals, and how many grants were revoked. */
export const Ledger = Schema.Struct({
  refreshes: Schema.Array(Refresh),
  refusals: Schema.Array(Refusal),
  revoked: Schema.Int
})

/** All of it: refreshes, refusals, and how many grants were revoked. */
export type Ledger = typeof Ledger.Type

/** What names a token here. */
export const digest = (token: string): string => createHash("sha256").update(token).digest("hex").slice(0, 12)
