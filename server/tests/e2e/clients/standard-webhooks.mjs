// Webhooks by the library of Standard Webhooks for JavaScript: it believes what Tandem sends, and signs what Tandem receives.
// Prints the laws that held, and those that did not with what was seen instead, as JSON.
//
//   node standard-webhooks.mjs ORIGIN TOKEN
//
// The token is an administrator's. The server may post to this machine without TLS, and tries again after two seconds.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { Webhook, WebhookVerificationError } from "standardwebhooks";
import { hold, until } from "./laws.mjs";

const [origin, token] = process.argv.slice(2);

async function ask(query, variables) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const answer = await fetch(`${origin}/graphql`, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  const { data, errors } = await answer.json();
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data;
}

// Runs a mutation and gives its payload; it must not be refused.
async function run(mutation, input, fields) {
  const type = `${mutation[0].toUpperCase()}${mutation.slice(1)}Input!`;
  const query = `mutation($input: ${type}) { ${mutation}(input: $input) { ${fields} userErrors { message code } } }`;
  const payload = (await ask(query, { input }))[mutation];
  assert.deepEqual(payload.userErrors, []);
  return payload;
}

// A receiver as the library's documentation writes it, and what reached it. It answers 500 as often as it is told to.
const received = [];
let refusals = 0;
const receiver = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    received.push({ headers: request.headers, body: Buffer.concat(parts).toString("utf8") });
    response.writeHead(refusals > 0 ? 500 : 204).end();
    refusals = Math.max(0, refusals - 1);
  });
});
await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${receiver.address().port}/hooks`;

// Makes a company, of which an endpoint is told, and gives the messages that came of it.
async function told(name, messages = 1) {
  const before = received.length;
  await run("accountCreate", { name }, "account { id }");
  return until("the message", () => received.length >= before + messages && received.slice(before));
}

const believes = (secret, { body, headers }) => new Webhook(secret).verify(body, headers);
const doubts = (secret, message) => assert.throws(() => believes(secret, message), WebhookVerificationError);
const stranger = `whsec_${randomBytes(32).toString("base64")}`;

// Posts what the library signed.
async function post(path, secret, id, payload, { at = new Date(), tampered = payload } = {}) {
  const signature = new Webhook(secret).sign(id, at, JSON.stringify(payload));
  const timestamp = `${Math.floor(at.getTime() / 1000)}`;
  const signed = { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature };
  const headers = { ...signed, "content-type": "application/json" };
  const answer = await fetch(`${origin}${path}`, { method: "POST", headers, body: JSON.stringify(tampered) });
  return answer.status;
}

const person = (name) => ({ email: `${name}@customer.example`, name: `Łucja ${name} 李` });

// An address for what others send, and its secret, which Tandem makes where none is given.
async function address(key, secret) {
  const create = { email: `${key}@example.com`, name: key, roles: ["INTEGRATION"] };
  const actsAs = (await run("userCreate", create, "user { id }")).user.id;
  const actions = [{ kind: "CONTACT_UPSERT", values: { email: "payload.email", name: "payload.name" } }];
  const webhook = { key, name: key, scheme: "STANDARD_WEBHOOKS", actsAs, actions };
  const saved = await run("inboundWebhookSave", { webhook, secret }, "secret webhook { id path }");
  return { ...saved.webhook, secret: saved.secret ?? secret };
}

// Waits until everything that was taken is done, and gives the names of who came of it.
async function names(emails) {
  await until("what was taken is done", async () => {
    const { inboundDeliveries } = await ask("{ inboundDeliveries(last: 50) { nodes { state } } }");
    return inboundDeliveries.nodes.every(({ state }) => state === "DONE");
  });
  const find = (email) => ask("query($email: String!) { contacts(filter: { email: $email }) { nodes { name } } }", { email });
  const found = await Promise.all(emails.map(find));
  return found.flatMap(({ contacts }) => contacts.nodes.map(({ name }) => name));
}

const endpoint = { key: "library", name: "Library", url, types: ["account.created"] };
const { webhook, secret: first } = await run("outboundWebhookSave", endpoint, "secret webhook { id }");

const laws = {
  async what_is_sent_is_believed() {
    const [message] = await told("Żółw & Söhne 株式会社");
    const { type, data } = believes(first, message);
    assert.deepEqual([type, typeof data.seq], ["account.created", "number"]);
  },

  async what_was_tampered_with_or_comes_from_elsewhere_is_not_believed() {
    const [message] = await told("Acme");
    const { headers, body } = message;
    believes(first, message);
    doubts(stranger, message);
    doubts(first, { headers, body: body.replace("account.created", "account.changed") });
    const timestamp = `${Number(headers["webhook-timestamp"]) + 1}`;
    for (const changed of [{ "webhook-id": "msg_other" }, { "webhook-timestamp": timestamp }]) {
      doubts(first, { headers: { ...headers, ...changed }, body });
    }
  },

  async what_is_sent_again_has_its_id_and_a_signature_of_its_own_time() {
    refusals = 1;
    const [one, two] = await told("Again", 2);
    assert.deepEqual(believes(first, one), believes(first, two));
    assert.equal(one.headers["webhook-id"], two.headers["webhook-id"]);
    assert.notEqual(one.headers["webhook-timestamp"], two.headers["webhook-timestamp"]);
  },

  async after_a_rotation_either_secret_believes() {
    const rotated = await run("outboundWebhookRotateSecret", { webhookId: webhook.id }, "secret");
    assert.notEqual(rotated.secret, first);
    const [message] = await told("Rotated");
    assert.equal(message.headers["webhook-signature"].split(" ").length, 2);
    for (const secret of [first, rotated.secret]) assert.equal(believes(secret, message).type, "account.created");
    doubts(stranger, message);
  },

  async what_the_library_signs_is_taken_once_and_nothing_else() {
    const { path, secret } = await address("signed");
    const ann = person("ann");
    assert.equal(await post(path, secret, "msg_1", ann), 202);
    assert.equal(await post(path, secret, "msg_1", ann), 200);
    assert.equal(await post(path, stranger, "msg_2", ann), 401);
    assert.equal(await post(path, secret, "msg_3", ann, { tampered: person("eve") }), 401);
    const minutes = (count) => new Date(Date.now() + count * 60_000);
    for (const at of [minutes(-6), minutes(6)]) assert.equal(await post(path, secret, "msg_4", ann, { at }), 401);
    assert.deepEqual(await names([ann.email, person("eve").email]), [ann.name]);
  },

  async a_secret_that_the_sender_chose_is_the_one_that_is_checked() {
    const own = `whsec_${randomBytes(24).toString("base64")}`;
    const { path } = await address("chosen", own);
    const ben = person("ben");
    assert.equal(await post(path, own, "msg_1", ben), 202);
    assert.equal(await post(path, stranger, "msg_2", ben), 401);
    assert.deepEqual(await names([ben.email]), [ben.name]);
  },

  async while_two_secrets_are_valid_either_signs() {
    const { id, path, secret } = await address("rotated");
    const rotated = await run("inboundWebhookRotateSecret", { webhookId: id, overlapHours: 1 }, "secret");
    const [cleo, dan] = [person("cleo"), person("dan")];
    assert.equal(await post(path, secret, "msg_1", cleo), 202);
    assert.equal(await post(path, rotated.secret, "msg_2", dan), 202);
    assert.equal(await post(path, stranger, "msg_3", dan), 401);
    assert.deepEqual(await names([cleo.email, dan.email]), [cleo.name, dan.name]);
  },
};

await hold(laws);
