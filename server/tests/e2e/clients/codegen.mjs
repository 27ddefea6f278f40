// TypeScript from the schema and from example operations, compiled as strictly as the compiler can.
// Prints how many operations there were; fails where one does not fit the schema or does not compile.
//
//   node codegen.mjs SCHEMA OPERATIONS_FOLDER OUTPUT_FOLDER
import { codegen } from "@graphql-codegen/core";
import * as typedDocumentNode from "@graphql-codegen/typed-document-node";
import * as typescript from "@graphql-codegen/typescript";
import * as operations from "@graphql-codegen/typescript-operations";
import { buildSchema, parse, validate } from "graphql";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

const [schemaFile, folder, output] = process.argv.slice(2);
const source = readFileSync(schemaFile, "utf8");
const schema = buildSchema(source);
let count = 0;
for (const name of readdirSync(folder).filter((name) => name.endsWith(".graphql"))) {
  const document = parse(readFileSync(join(folder, name), "utf8"));
  const wrong = validate(schema, document);
  if (wrong.length > 0) throw new Error(wrong.map((error) => `${name}: ${error.message}`).join("\n"));
  count += document.definitions.filter((definition) => definition.kind === "OperationDefinition").length;
  const filename = join(output, name.replace(".graphql", ".ts"));
  const code = await codegen({
    filename,
    schema: parse(source),
    documents: [{ location: name, document }],
    config: { strictScalars: true, scalars: { DateTime: "string", Date: "string", EmailAddress: "string", URL: "string", JSON: "unknown", Decimal: "string" }, useTypeImports: true },
    plugins: [{ typescript: {} }, { operations: {} }, { typedDocumentNode: {} }],
    pluginMap: { typescript, operations, typedDocumentNode },
  });
  writeFileSync(filename, code);
}
const files = readdirSync(output).filter((name) => name.endsWith(".ts")).map((name) => join(output, name));
const options = {
  strict: true,
  noEmit: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2022,
  skipLibCheck: false,
  types: [],
};
const faults = ts.getPreEmitDiagnostics(ts.createProgram(files, options));
for (const fault of faults) {
  console.error(`${fault.file?.fileName}: ${ts.flattenDiagnosticMessageText(fault.messageText, "\n")}`);
}
if (faults.length > 0) process.exit(1);
console.log(JSON.stringify({ operations: count, files: files.length }));
