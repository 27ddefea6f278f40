// 501 calls through Segment's SDK for Node, as a program of somebody's makes them.
// Prints { sent, messageIds } as JSON; fails where a call or its delivery did.
//
//   node segment.mjs URL WRITE_KEY
import { Analytics } from "@segment/analytics-node";

const [host, writeKey] = process.argv.slice(2);
const COUNT = 501;
const KINDS = ["identify", "page", "screen", "track", "track", "track", "track", "track"];

// The calls that come once, each with what it has to say.
const once = [
  ["alias", { previousId: "segment-node-visitor-0", userId: "segment-node-user-0" }],
  ["group", { groupId: "segment-node-company-1", userId: "segment-node-user-1", traits: { name: "Example, Inc." } }],
  ["track", { anonymousId: "segment-node-visitor-2", event: "Visited", properties: { number: 2 } }],
];

function call(number) {
  if (number < once.length) return once[number];
  const who = { userId: `segment-node-user-${number}`, anonymousId: `segment-node-visitor-${number}` };
  const kind = KINDS[number % KINDS.length];
  const says = {
    identify: { traits: { email: `${who.userId}@example.com`, plan: "trial" } },
    page: { name: "Pricing", category: "Docs", properties: { url: `https://example.com/pricing?of=${number}` } },
    screen: { name: "Inbox", properties: { number } },
    track: { event: "Order Placed", properties: { number, total: number / 4, currency: "EUR" } },
  };
  return [kind, { ...who, ...says[kind] }];
}

const analytics = new Analytics({ host, writeKey });
const failures = [];
const messageIds = [];
analytics.on("error", ({ code, reason }) => failures.push(`${code}: ${reason}`));
for (let number = 0; number < COUNT; number += 1) {
  const [kind, says] = call(number);
  analytics[kind](says, (error, context) => {
    if (!error) messageIds.push(context.event.messageId);
  });
}
await analytics.closeAndFlush();
if (failures.length > 0 || messageIds.length !== COUNT) {
  console.error(`${messageIds.length} of ${COUNT} were delivered: ${[...new Set(failures)].join("; ")}`);
  process.exit(1);
}
console.log(JSON.stringify({ sent: COUNT, messageIds }));
