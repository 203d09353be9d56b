/**
 * Every export of a public module has a docstring, and so has each field of an interface there: editors show them, and the API
 * reference is made from them.
 */
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

/** The interfaces that a file exports: its own, those of other files, and those that it gives a name of its own. */
const interfacesOf = (file: string): ReadonlyArray<ts.InterfaceDeclaration> =>
  parse(file).statements.flatMap((statement): ReadonlyArray<ts.InterfaceDeclaration> => {
    if (ts.isInterfaceDeclaration(statement)) return isExported(statement) ? [statement] : []
    if (ts.isTypeAliasDeclaration(statement)) {
      const { type } = statement
      if (!isExported(statement) || !ts.isTypeReferenceNode(type) || !ts.isQualifiedName(type.typeName)) return []
      const from = moduleOf(file, type.typeName.left.getText())
      return from === undefined ? [] : interfaceIn(from, type.typeName.right.text)
    }
    if (!ts.isExportDeclaration(statement) || statement.moduleSpecifier === undefined) return []
    if (statement.exportClause === undefined || !ts.isNamedExports(statement.exportClause)) return []
    const target = join(dirname(file), (statement.moduleSpecifier as ts.StringLiteral).text)
    return statement.exportClause.elements.flatMap(({ name, propertyName }) =>
      interfaceIn(target, (propertyName ?? name).text)
    )
  })

const interfaceIn = (file: string, name: string): ReadonlyArray<ts.InterfaceDeclaration> =>
  parse(file)
    .statements.filter(ts.isInterfaceDeclaration)
    .filter((declaration) => declaration.name.text === name)

/** The file that a relative import calls so. */
const moduleOf = (file: string, called: string): string | undefined =>
  parse(file)
    .statements.filter(ts.isImportDeclaration)
    .flatMap(({ importClause, moduleSpecifier }) => {
      const bindings = importClause?.namedBindings
      const { text } = moduleSpecifier as ts.StringLiteral
      return bindings && ts.isNamespaceImport(bindings) && bindings.name.text === called && text.startsWith(".")
        ? [join(dirname(file), text)]
        : []
    })[0]

/** What they have is what the Kubernetes API has. */
const kubernetes = new Set(["KubeObject", "ObjectMetadata"])

const testing = ["testing/ApiServer", "testing/TestLock", "testing/envtest/Envtest"]

const files = [...Object.values(publicModules), ...testing].map((name) => join(root, "src", `${name}.ts`))

it("every public export has a docstring", () => {
  const all = files.map((file) => ({ file: relative(root, file), exports: exportsOf(file) }))
  assert.isAbove(all.flatMap(({ exports }) => exports).length, 200)
  assert.deepStrictEqual(
    all.flatMap(({ exports, file }) =>
      exports.filter(({ documented }) => !documented).map(({ name }) => `${file}: ${name}`)
    ),
    []
  )
})

it("every field of a public interface has a docstring", () => {
  const all = files.flatMap((file) =>
    interfacesOf(file)
      .filter(({ name }) => !kubernetes.has(name.text))
      .flatMap(({ members, name: { text } }) =>
        members.flatMap((member) =>
          member.name === undefined
            ? []
            : [{ field: `${relative(root, file)}: ${text}.${member.name.getText()}`, documented: hasDocstring(member) }]
        )
      )
  )
  assert.isAbove(all.length, 250)
  assert.deepStrictEqual(
    all.filter(({ documented }) => !documented).map(({ field }) => field),
    []
  )
})
