/** How a process reports to a witness. */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Schema from "effect/Schema"
import { Testimony } from "./testimony.ts"

const encode = Schema.encodeEffect(Testimony)

/** Reports to the witness at this URL. Answers false if the witness refused a write. `heed`: told with each answer whether to hurry. */
export const tellTo = (witness: string, heed: (hurries: boolean) => void) =>
  Effect.fnUntraced(function* (testimony: Testimony) {
    const body = yield* Effect.orDie(encode(testimony))
    const { headers, status } = yield* HttpClientRequest.post(witness).pipe(
      HttpClientRequest.bodyJsonUnsafe(body),
      HttpClient.execute,
      Effect.orDie
    )
    heed("hurry" in headers)
    return status === 200
  })
