// What a schema breaks of the one that was released: by the rules of the reference implementation.
// Prints a list of { type, description, coordinate } as JSON.
//
//   node breaking.mjs RELEASED NOW
import { buildSchema, findBreakingChanges } from "graphql";
import { readFileSync } from "node:fs";

const [released, now] = process.argv.slice(2).map((path) => buildSchema(readFileSync(path, "utf8")));
const changes = findBreakingChanges(released, now).map(({ type, description }) => {
  // The rules name what they are about first: a type, a field, an argument or a value.
  const coordinate = description.match(/[A-Za-z_][\w]*\.[\w.]+|[A-Z][\w]+(?= was removed)/)?.[0].replace(/\.$/, "") ?? "";
  return { type, description, coordinate };
});
console.log(JSON.stringify(changes));
