/**
 * A process that needs a fresh token all the time, kept with `RefreshOnce` in a Secret:
 * `node test/chaos/refresher.ts NAME KUBECONFIG WITNESS ID`.
 *
 * The witness plays the provider, and decides what a token is: its generation. It lives for a moment.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as KubernetesClient from "../../src/KubernetesClient.ts"
import * as RefreshOnce from "../../src/RefreshOnce.ts"
import * as settings from "./settings.ts"

const [name = "", file = "", witness = "", id = ""] = process.argv.slice(2)

const Token = Schema.Struct({ generation: Schema.Int, until: Schema.Int })

const spend = Effect.fnUntraced(function* (generation: number) {
  const response = yield* HttpClientRequest.post(`${witness}/refresh`).pipe(
    HttpClientRequest.bodyJsonUnsafe({ by: name, generation }),
    HttpClient.execute
  )
  return { generation: Number(yield* response.text), until: Date.now() + settings.tokenLifetime }
})

/** A process that pauses for longer than its lease can lose the value that it has just spent. So it says when it has paused. */
const tellOfPauses = Effect.sleep("200 millis").pipe(
  Effect.timed,
  Effect.flatMap(([took]) =>
    Duration.isGreaterThan(took, Duration.seconds(2)) ? Effect.log(`paused for ${Duration.format(took)}`) : Effect.void
  ),
  Effect.forever
)

const main = Effect.gen(function* () {
  yield* Effect.forkScoped(tellOfPauses)
  const tokens = yield* RefreshOnce.make({
    schema: Token,
    identity: name,
    namespace: "dex",
    requestTimeout: settings.requestTimeout,
    isFresh: ({ until }) => Effect.map(Clock.currentTimeMillis, (now) => now < until),
    refresh: (current) =>
      Effect.orDie(spend(Option.match(current, { onNone: () => 0, onSome: ({ generation }) => generation })))
  })
  yield* tokens.get(id).pipe(
    Effect.flatMap(({ until }) => Effect.sleep(Math.max(20, until - Date.now()))),
    Effect.catch((error) => Effect.andThen(Effect.log(error.message), Effect.sleep("200 millis"))),
    Effect.forever
  )
})

main.pipe(
  Effect.scoped,
  Effect.provide(KubernetesClient.layerKubeConfig({ file })),
  Effect.provide(FetchHttpClient.layer),
  NodeRuntime.runMain
)
