// What Relay's compiler makes of the schema and of a page's documents, compiled as strictly as TypeScript can.
// Prints how many artifacts there are. Fails where the compiler does not accept the schema or a document, or where an artifact
// does not compile with the page that uses its types.
//
//   node relay/compile.mjs SCHEMA FOLDER [persisted]
//
// With `persisted` the artifacts hold the hashes of the documents instead of their texts, and FOLDER/documents.json has these.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const here = dirname(fileURLToPath(import.meta.url));
const [schema, folder, persisted] = process.argv.slice(2);
const within = (name) => join(folder, name);
const json = (name, value) => writeFileSync(within(name), JSON.stringify(value));

for (const name of ["page", "__generated__"]) mkdirSync(within(name), { recursive: true });
copyFileSync(join(here, "page.ts"), within("page/page.ts"));
copyFileSync(schema, within("schema.graphql"));
json("documents.json", {});
json("relay.config.json", {
  src: "./page",
  schema: "./schema.graphql",
  artifactDirectory: "./__generated__",
  language: "typescript",
  eagerEsModules: true,
  useImportTypeSyntax: true,
  noSourceControl: true,
  requireCustomScalarTypes: true,
  customScalarTypes: { DateTime: "string", Date: "string", EmailAddress: "string", URL: "string", JSON: "unknown", Decimal: "string" },
  ...(persisted ? { persistConfig: { file: "./documents.json", algorithm: "SHA256" } } : {}),
});
const compiler = join(here, "../node_modules/relay-compiler/cli.js");
const ran = spawnSync(process.execPath, [compiler, "--noWatchman", "relay.config.json"], { cwd: folder, encoding: "utf8" });
if (ran.status !== 0) {
  console.error(ran.stdout, ran.stderr);
  process.exit(1);
}

// The artifacts name each other without an extension, as bundlers and CommonJS read it.
json("package.json", { type: "commonjs" });
const artifacts = readdirSync(within("__generated__")).map((name) => within(`__generated__/${name}`));
const options = {
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  module: ts.ModuleKind.CommonJS,
  moduleResolution: ts.ModuleResolutionKind.Node10,
  target: ts.ScriptTarget.ES2022,
  types: [],
  // What others declare of their own packages is theirs.
  skipLibCheck: true,
};
const program = ts.createProgram([...artifacts, within("page/page.ts")], options);
const faults = [...ts.getPreEmitDiagnostics(program), ...program.emit().diagnostics];
for (const fault of faults) {
  console.error(`${fault.file?.fileName}: ${ts.flattenDiagnosticMessageText(fault.messageText, "\n")}`);
}
if (faults.length > 0) process.exit(1);
console.log(JSON.stringify({ artifacts: artifacts.length }));
