// How a socket is treated whose token asks too often, by a server that allows one request a second after a few at once.
// Prints what was seen, as JSON.
//
//   node limits.mjs ORIGIN TOKEN
import assert from "node:assert/strict";
import { Line, within } from "./subscriptions/line.mjs";
import { Stage } from "./subscriptions/stage.mjs";

const VIEWER = "{ viewer { email } }";
// As many as run at once on a socket, beside the subscription.
const AT_ONCE = 49;

const [origin, admin] = process.argv.slice(2);
const stage = new Stage(origin, admin);
const { token, email } = await stage.person("SDR");
const line = new Line(stage.url, { authorization: `Bearer ${token}` });
const queue = line.begin("subscription Queue { workQueueChanged(kind: TASK) { title } }");
const listens = async () => {
  const title = stage.name("probe");
  await stage.task(title);
  return queue.passedOver((item) => item.title === title, 1_000);
};
while (!(await listens()));

// What comes of many operations at once: each is served, or refused by one error with a code and a time to wait.
async function many() {
  const operations = Array.from({ length: AT_ONCE }, () => line.begin(VIEWER));
  const ends = await Promise.all(operations.map((operation) => operation.end("an answer or a refusal")));
  const refused = ends.filter((end) => end !== "complete");
  for (const { error } of refused) {
    assert.deepEqual(error.map(({ extensions }) => extensions.code), ["RATE_LIMITED"], JSON.stringify(error));
    assert.match(error[0].message, /wait \d+ s$/);
  }
  const served = operations.filter(({ results }) => results.length > 0);
  assert.ok(served.every(({ results }) => results.length === 1 && results[0].data.viewer.email === email));
  assert.equal(served.length + refused.length, AT_ONCE);
  return refused;
}

let refused = [];
while (refused.length === 0) refused = await many();

// Events cost nothing: they come while nothing else is answered.
for (const title of ["First", "Second", "Third"]) {
  await stage.task(title);
  assert.equal((await queue.event(`the task ${title}`)).title, title);
}

// Requests by HTTP are of the same measure; on a machine that takes long for them there is always one left.
let overHttp = null;
for (let round = 0; round < 50 && !overHttp; round += 1) {
  await stage.ask(token, VIEWER).catch(({ message }) => (overHttp = message.match(/RATE_LIMITED/)[0]));
}

// Whoever waits for as long as they were told is served again, over the same socket.
const [, wait] = refused[0].error[0].message.match(/wait (\d+) s/);
await within(() => false, wait * 1_000);
let answer;
while (answer?.results.length !== 1) {
  answer = line.begin(VIEWER);
  await answer.end("an answer");
}
console.log(JSON.stringify({ overSocket: "RATE_LIMITED", overHttp, opened: line.opened, closed: line.closed }));
process.exit(0);
