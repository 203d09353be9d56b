/** What `kubelock bench --job` does: prints the manifest of a Job. */
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { stringify } from "yaml"
import * as Resource from "../../../Resource.ts"
import { misused } from "../../exitCodes.ts"
import * as target from "../../target.ts"
import { packageVersion } from "../../version.ts"
import type { Given } from "../command.ts"
import type { Settings } from "../load/settings.ts"
import * as manifest from "./manifest.ts"

const usualImage = "docker.io/library/node:24-slim"

/** Prints the Job whose pods run a test with these settings. */
export const print = (given: Given, settings: Settings) =>
  Effect.gen(function* () {
    const { namespace } = yield* target.root
    const { duration, ids, image, name, pods, resource } = given
    yield* Effect.fromResult(Resource.checkName(name))
    if (name.length > longestName)
      return yield* misused(`--name ${name} is too long: at most ${longestName} characters`)
    const objects = manifest.objects({
      name,
      namespace: Option.getOrUndefined(namespace),
      pods,
      image: Option.getOrElse(image, () => usualImage),
      command: Option.isSome(image) ? ["kubelock"] : ["npx", "--yes", `kubelock@${packageVersion()}`],
      args: argumentsOf(given, settings),
      seconds: Duration.toSeconds(duration),
      resource,
      ids
    })
    yield* Console.log(
      objects
        .map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false }))
        .join("---\n")
        .trimEnd()
    )
  })

// Pods and their labels have names of 63 characters at most, which begin with that of the Job.
const longestName = 50

const argumentsOf = (given: Given, settings: Settings): ReadonlyArray<string> => {
  const { contenders, duration, hold, ids, kind, name, pods, resource } = given
  const { limit, seed, threads, writers } = settings
  const flags: ReadonlyArray<readonly [flag: string, value: string | number]> = [
    ["pod-of", name],
    ["pods", pods],
    ["duration", `${Duration.toMillis(duration)}ms`],
    ["contenders", contenders],
    ["threads", threads],
    ["hold", `${Duration.toMillis(hold)}ms`],
    ["ids", ids],
    ["kind", kind],
    ...(limit === null ? [] : [["limit", limit] as const]),
    ...(writers === null ? [] : [["writers", `${writers * 100}%`] as const]),
    ["seed", seed],
    ["resource", target.nameOf(resource)]
  ]
  return ["bench", ...flags.map(([flag, value]) => `--${flag}=${value}`)]
}
