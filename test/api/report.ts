/**
 * The report of the public API: the declarations that `tsc` emits for every public module, without comments.
 *
 * A public signature may name a type of an internal module. The report includes those declarations as well, and all that
 * they name, so that every change that a user can see changes the report.
 */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import * as ts from "typescript-5.9"
import { publicModules, root } from "../utils/publicModules.ts"

/** Where the report is kept. */
export const reportFile = join(import.meta.dirname, "report.md")

const head = `# The public API

\`npm run api\` writes this file from the declarations that \`tsc\` emits. Do not edit it.
`

/** The report of the current code. Fails if the code does not compile. */
export const make = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "kubelock-api-"))
  try {
    emitDeclarations(folder)
    return [head, ...sections(folder)].join("\n")
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const emitDeclarations = (folder: string): void => {
  const options = ["--emitDeclarationOnly", "--removeComments", "--declarationMap", "false", "--sourceMap", "false"]
  const tsc = join(root, "node_modules/typescript/bin/tsc")
  execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json", "--outDir", folder, ...options], { cwd: root })
}

const sections = (folder: string): ReadonlyArray<string> => {
  const entries = Object.entries(publicModules).map(([name, file]) => ({ name, file: join(folder, `${file}.d.ts`) }))
  const internal = internalDeclarations(
    program(entries.map(({ file }) => file)),
    entries.map(({ file }) => file)
  )
  return [
    ...entries.map(({ file, name }) => section(name, readFileSync(file, "utf8"))),
    ...[...internal]
      .map(([file, statements]) => ({ name: relative(folder, file).replace(".d.ts", ""), text: statements.join("\n") }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ name, text }) => section(`Named by these: ${name}`, text))
  ]
}

const section = (title: string, text: string): string => `## ${title}\n\n\`\`\`ts\n${text.trim()}\n\`\`\`\n`

/** The declarations as a program. Only relative imports resolve, because the types of other packages do not matter. */
const program = (files: ReadonlyArray<string>): ts.Program => {
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    noLib: true,
    types: []
  }
  const host = ts.createCompilerHost(options)
  host.resolveModuleNameLiterals = (literals, file) =>
    literals.map(({ text }) =>
      text.startsWith(".")
        ? ts.resolveModuleName(text, file, options, host, undefined, undefined, ts.ModuleKind.ESNext)
        : { resolvedModule: undefined }
    )
  return ts.createProgram({ rootNames: files, options, host })
}

/** The statements of other files that the given files name, directly or through each other; by file, in its order. */
const internalDeclarations = (
  program: ts.Program,
  files: ReadonlyArray<string>
): ReadonlyMap<string, ReadonlyArray<string>> => {
  const checker = program.getTypeChecker()
  const found = new Set<ts.Statement>()
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) for (const declaration of declarationsOf(checker, node)) add(declaration)
    if (exportsWholeFile(node)) for (const file of declarationsOf(checker, node.moduleSpecifier!)) addWhole(file)
    ts.forEachChild(node, visit)
  }
  const add = (declaration: ts.Node): void => {
    const { fileName, statements } = declaration.getSourceFile()
    if (files.includes(fileName)) return
    const statement = statements.find((one) => one.pos <= declaration.pos && declaration.end <= one.end)
    if (statement === undefined || found.has(statement)) return
    found.add(statement)
    visit(statement)
  }
  const addWhole = (file: ts.Node): void => ts.forEachChild(file, add)
  for (const file of files) visit(program.getSourceFile(file)!)
  return new Map(
    program
      .getSourceFiles()
      .map(
        (file) => [file.fileName, file.statements.filter((one) => found.has(one)).map((one) => one.getText())] as const
      )
      .filter(([, statements]) => statements.length > 0)
  )
}

const declarationsOf = (checker: ts.TypeChecker, node: ts.Node): ReadonlyArray<ts.Declaration> => {
  const symbol = checker.getSymbolAtLocation(node)
  if (symbol === undefined) return []
  const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
  return target.declarations ?? []
}

/** `export * from` or `export * as name from`. */
const exportsWholeFile = (node: ts.Node): node is ts.ExportDeclaration =>
  ts.isExportDeclaration(node) &&
  node.moduleSpecifier !== undefined &&
  (node.exportClause === undefined || ts.isNamespaceExport(node.exportClause))
