// What a schema breaks of the one that was released: by the rules of the reference implementation.
// Prints a list of { type, description, coordinate } as JSON.
//
//   node breaking.mjs RELEASED NOW
import { buildSchema, findBreakingChanges } from "graphql";
import { readFileSync } from "node:fs";

// The place that a change is about, from the sentence that names it: each rule has a form of its own.
const forms = [
  [/^(\w+) was removed from (?:enum|union) type (\w+)\./, (found) => `${found[2]}.${found[1]}`],
  [/field (\w+) on input type (\w+) was added/, (found) => `${found[2]}.${found[1]}`],
  [/ on (\w+\.\w+) was added/, (found) => found[1]],
  [/^(@?\w+(?:\.\w+)?)/, (found) => found[1]],
];

function place(description) {
  const [form, name] = forms.find(([form]) => form.test(description));
  return name(description.match(form));
}

const [released, now] = process.argv.slice(2).map((path) => buildSchema(readFileSync(path, "utf8")));
const changes = findBreakingChanges(released, now).map(({ type, description }) => {
  return { type, description, coordinate: place(description) };
});
console.log(JSON.stringify(changes));
