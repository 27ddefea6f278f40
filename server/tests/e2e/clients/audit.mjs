// Every audit of GraphQL over HTTP's public suite. Prints how many of each level held, and what did not, as JSON.
//
//   node audit.mjs URL TOKEN
import { serverAudits } from "graphql-http";

const [url, token] = process.argv.slice(2);
const fetchFn = (input, init = {}) =>
  fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${token}` } });
const levels = {};
const failures = [];
for (const audit of serverAudits({ url, fetchFn })) {
  const level = audit.name.split(" ")[0];
  levels[level] ??= { held: 0, of: 0 };
  levels[level].of += 1;
  const { status, reason } = await audit.fn();
  if (status === "ok") levels[level].held += 1;
  else failures.push(`${audit.id} ${audit.name}: ${reason}`);
}
console.log(JSON.stringify({ levels, failures }));
