/** A process that takes permits of a semaphore on Redis. Its arguments are the package and the port of Redis. */
import * as Playing from "../../src/cli/bench/contest/playing.ts"
import * as redisPackages from "../elsewhere/redisPackages.ts"
import * as Take from "../elsewhere/take.ts"

const [name, port] = process.argv.slice(2)
const { open } = redisPackages.semaphores.find((peer) => peer.name === name)!

Playing.main(({ limit, seconds }) => Take.make(() => open(Number(port), limit, seconds)))
