/** How long a lease may last: expiries are written in whole seconds, and a process that died must not hold a lock for good. */
import * as Duration from "effect/Duration"

/** The shortest and the longest. (Our choice.) */
export const leaseRange = { minimum: Duration.seconds(1), maximum: Duration.days(1) } as const
