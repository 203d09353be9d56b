/** Serves the OpenAPI documents, which `kubectl` needs to create, validate, explain and apply. */
import type { Kind } from "./kinds/kind.ts"
import { documentOf, documentV3Of, indexOf, placeOf } from "./openApiDocument.ts"
import { openApiProtobuf } from "./openApiProtobuf.ts"
import * as Reply from "./reply.ts"

const protobufV2 = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"

/** The answer to a path below `/openapi`. */
export const openApi = (kinds: ReadonlyArray<Kind>, rest: string, accept: string | undefined): Reply.Reply => {
  if (rest === "v2") {
    const document = documentOf(kinds)
    return accept?.startsWith(protobufV2)
      ? Reply.binary(200, openApiProtobuf(document), protobufV2.replace("@", "."))
      : Reply.json(200, JSON.stringify(document))
  }
  if (rest === "v3") return Reply.json(200, JSON.stringify({ paths: indexOf(kinds) }))
  const inGroup = kinds.filter((kind) => `v3/${placeOf(kind)}` === rest)
  if (inGroup.length === 0) return Reply.unknownResource(false)
  if (accept !== undefined && !/json|\*/.test(accept)) return Reply.notAcceptable()
  return Reply.json(200, JSON.stringify(documentV3Of(inGroup)))
}
