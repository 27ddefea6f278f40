// 501 calls through RudderStack's SDK for Node, as a program of somebody's makes them.
// Prints { sent, messageIds } as JSON; fails where a call or its delivery did.
//
//   node rudder.mjs URL WRITE_KEY
import RudderAnalytics from "@rudderstack/rudder-sdk-node";
import { randomUUID } from "node:crypto";

const [dataPlaneUrl, writeKey] = process.argv.slice(2);
const COUNT = 501;
const KINDS = ["identify", "page", "screen", "track", "track", "track", "track", "track"];

// The calls that come once, each with what it has to say. The SDK makes a text of a number that is a user's id.
const once = [
  ["alias", { previousId: "rudder-node-visitor-0", userId: "rudder-node-user-0" }],
  ["group", { groupId: "rudder-node-company-1", userId: "rudder-node-user-1", traits: { name: "Example, Inc." } }],
  ["track", { anonymousId: "rudder-node-visitor-2", event: "Visited", properties: { number: 2 } }],
  ["track", { userId: 4200003, event: "Numbered", properties: { number: 3 } }],
];

function call(number) {
  if (number < once.length) return once[number];
  const who = { userId: `rudder-node-user-${number}`, anonymousId: `rudder-node-visitor-${number}` };
  const kind = KINDS[number % KINDS.length];
  const says = {
    identify: { traits: { email: `${who.userId}@example.com`, plan: "trial" } },
    page: { name: "Pricing", category: "Docs", properties: { url: `https://example.com/pricing?of=${number}` } },
    screen: { name: "Inbox", properties: { number } },
    track: { event: "Order Placed", properties: { number, total: number / 4, currency: "EUR" } },
  };
  return [kind, { ...who, ...says[kind] }];
}

const failures = [];
const errorHandler = (error) => failures.push(error.message);
const analytics = new RudderAnalytics(writeKey, { dataPlaneUrl, errorHandler });

// A flush may end before others that it overlaps; each call says itself when it was delivered.
function deliver(number) {
  const [kind, says] = call(number);
  const messageId = randomUUID();
  return new Promise((resolve) => {
    analytics[kind]({ ...says, messageId }, (error) => resolve(error ? [] : [messageId]));
  });
}

const delivered = Array.from({ length: COUNT }, (_, number) => deliver(number));
await analytics.flush();
const messageIds = (await Promise.all(delivered)).flat();
if (failures.length > 0 || messageIds.length !== COUNT) {
  console.error(`${messageIds.length} of ${COUNT} were delivered: ${[...new Set(failures)].join("; ")}`);
  process.exit(1);
}
console.log(JSON.stringify({ sent: COUNT, messageIds }));
