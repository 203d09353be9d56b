/** Every export of a public module has a docstring: the API reference is made from them. */
import { assert, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import * as ts from "typescript-5.9"
import { publicModules, root } from "./utils/publicModules.ts"

interface Export {
  readonly name: string
  readonly documented: boolean
}

const parsed = new Map<string, ts.SourceFile>()

const parse = (file: string): ts.SourceFile => {
  const known = parsed.get(file)
  if (known !== undefined) return known
  const source = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest, true)
  parsed.set(file, source)
  return source
}

const hasDocstring = (node: ts.Node): boolean =>
  ts.getJSDocCommentsAndTags(node).some((doc) => ts.isJSDoc(doc) && doc.comment !== undefined)

const namesOf = (statement: ts.Statement): ReadonlyArray<string> => {
  if (ts.isVariableStatement(statement)) return statement.declarationList.declarations.map(({ name }) => name.getText())
  const { name } = statement as ts.Statement & { readonly name?: ts.Identifier }
  return name === undefined ? [] : [name.text]
}

/** The declarations of a file by name. A name with overloads is documented if one of them is. */
const declarationsIn = (file: string): ReadonlyMap<string, boolean> => {
  const found = new Map<string, boolean>()
  for (const statement of parse(file).statements)
    for (const name of namesOf(statement)) found.set(name, found.get(name) === true || hasDocstring(statement))
  return found
}

const isExported = (statement: ts.Statement): boolean =>
  ts.canHaveModifiers(statement) &&
  ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true

const exportsOf = (file: string): ReadonlyArray<Export> => {
  const here = declarationsIn(file)
  return parse(file).statements.flatMap((statement): ReadonlyArray<Export> => {
    if (isExported(statement)) return namesOf(statement).map((name) => ({ name, documented: here.get(name) === true }))
    if (!ts.isExportDeclaration(statement) || statement.exportClause === undefined) return []
    const from = statement.moduleSpecifier as ts.StringLiteral | undefined
    const target = from === undefined ? file : join(dirname(file), from.text)
    // A whole module is described by the comment at its top.
    if (ts.isNamespaceExport(statement.exportClause))
      return [{ name: statement.exportClause.name.text, documented: parse(target).text.trimStart().startsWith("/**") }]
    return statement.exportClause.elements.map((element) => ({
      name: element.name.text,
      documented:
        hasDocstring(element) || declarationsIn(target).get((element.propertyName ?? element.name).text) === true
    }))
  })
}

const testing = ["testing/ApiServer", "testing/TestLock", "testing/envtest/Envtest"]

it("every public export has a docstring", () => {
  const files = [...Object.values(publicModules), ...testing].map((name) => join(root, "src", `${name}.ts`))
  const all = files.map((file) => ({ file: relative(root, file), exports: exportsOf(file) }))
  assert.isAbove(all.flatMap(({ exports }) => exports).length, 200)
  assert.deepStrictEqual(
    all.flatMap(({ exports, file }) =>
      exports.filter(({ documented }) => !documented).map(({ name }) => `${file}: ${name}`)
    ),
    []
  )
})
