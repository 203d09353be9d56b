/** A plugin of typedoc: the comment at the top of a module describes it, also without the tag `@module`. */
import { Comment, Converter, ReflectionKind } from "typedoc"

/** @param {import("typedoc").Application} app */
export const load = (app) => {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    if (!reflection.kindOf(ReflectionKind.SomeModule)) return
    const symbol = context.getSymbolFromReflection(reflection)
    const [source] = (symbol && context.resolveAliasedSymbol(symbol))?.getDeclarations() ?? []
    const [, comment] = /^\/\*\*([^]*?)\*\//.exec(source?.getSourceFile().text ?? "") ?? []
    if (comment === undefined) return
    const text = comment.replaceAll(/^ *\* ?/gm, "").trim()
    reflection.comment = new Comment([{ kind: "text", text }])
  })
}
