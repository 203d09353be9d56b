/** The handle of a lock that was given away: what another process needs to go on with it. */
import * as Schema from "effect/Schema"

/**
 * One hold of a lock, by its holder ID. `Held.give` makes it, and `Lock.adopt` takes the lock over by it.
 *
 * - `id`, `holderId`, `fencingToken`: those of the hold.
 * - `expiry`: until when the lock is held at least if nobody adopts or renews it (RFC 3339, by the clock of the API server).
 *
 * It is a `Schema` class, so it can be sent as JSON. It is no secret, and no right either: whoever may write to the object of the lock can
 * adopt it.
 */
export class Handle extends Schema.Class<Handle>("kubelock/Handle")({
  id: Schema.String,
  holderId: Schema.String,
  fencingToken: Schema.BigIntFromString,
  expiry: Schema.String
}) {}
