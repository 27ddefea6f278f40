// urql's core as a page uses it: its cache, its errors, its subscriptions and its persisted queries.
// Prints the laws that held, and those that did not with what was seen instead, as JSON.
//
//   node urql.mjs ORIGIN TOKEN [trusted]
//   node urql.mjs documents
//
// `documents` prints the documents as they are sent, by their hashes. With `trusted` the page names them by these alone, and
// the server executes nothing else.
import { Client, cacheExchange, fetchExchange, formatDocument, gql, stringifyDocument, subscriptionExchange } from "@urql/core";
import { persistedExchange } from "@urql/exchange-persisted";
import { createClient } from "graphql-ws";
import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import WebSocket from "ws";
import { hold, noting, until, within } from "./laws.mjs";

const ERRORS = "userErrors { field message code }";
const documents = {
  contact: gql`query ContactOf($id: ID!) { contact(id: $id) { id name email } }`,
  contacts: gql`query Contacts($first: Int!, $after: String, $tag: String!) {
    contacts(first: $first, after: $after, filter: { tag: $tag }) { nodes { id email } pageInfo { endCursor hasNextPage } }
  }`,
  create: gql`mutation ContactCreate($input: ContactCreateInput!) {
    contactCreate(input: $input) { contact { id email } ${ERRORS} }
  }`,
  change: gql`mutation ContactChange($input: ContactChangeInput!) {
    contactChange(input: $input) { contact { id name } ${ERRORS} }
  }`,
  task: gql`mutation TaskCreate($input: TaskCreateInput!) { taskCreate(input: $input) { workItem { id } ${ERRORS} } }`,
  queue: gql`subscription Queue { workQueueChanged(kind: TASK) { id title state } }`,
};

const sha256 = (text) => createHash("sha256").update(text).digest("hex");

const [origin, token, trusted] = process.argv.slice(2);
if (origin === "documents") {
  // The cache asks for the names of types, and is no part of subscriptions.
  const kept = ({ definitions }) => definitions[0].operation !== "subscription";
  const texts = Object.values(documents).map((one) => stringifyDocument(kept(one) ? formatDocument(one) : one));
  console.log(JSON.stringify(Object.fromEntries(texts.map((text) => [sha256(text), text]))));
  process.exit(0);
}

const asked = [];
const tag = randomUUID();
const emails = Array.from({ length: 25 }, (_, at) => `person${at}@${tag}.example`);

// A client, perhaps with one exchange more before the requests go out.
function page(before, bearer = token) {
  const headers = { authorization: `Bearer ${bearer}` };
  const url = `${origin.replace("http", "ws")}/graphql/ws`;
  const socket = createClient({ url, webSocketImpl: WebSocket, connectionParams: headers });
  // As urql's documentation writes it.
  const forwardSubscription = (request) => {
    const input = { ...request, query: request.query || "" };
    return { subscribe: (sink) => ({ unsubscribe: socket.subscribe(input, sink) }) };
  };
  const out = [fetchExchange, subscriptionExchange({ forwardSubscription })];
  const exchanges = [cacheExchange, ...(before ? [before] : []), ...out];
  const client = new Client({ url: `${origin}/graphql`, exchanges, fetch: noting(asked), fetchOptions: { headers } });
  return { client, socket };
}

const byHash = () =>
  persistedExchange({ enforcePersistedQueries: true, enableForMutation: true, enableForSubscriptions: true });
const { client, socket } = page(trusted ? byHash() : undefined);

async function query(document, variables) {
  const { data, error } = await client.query(document, variables);
  assert.equal(error, undefined);
  return Object.values(data)[0];
}

async function mutate(document, input) {
  const { data, error } = await client.mutation(document, { input });
  assert.equal(error, undefined);
  return Object.values(data).find((value) => typeof value === "object");
}

// The code by which an operation is refused.
async function refusal(by, document, variables) {
  const { data, error } = await by.query(document, variables);
  assert.equal(data, undefined);
  assert.deepEqual([error.name, error.networkError, error.graphQLErrors.length], ["CombinedError", undefined, 1]);
  return error.graphQLErrors[0].extensions.code;
}

const code = trusted ? "PERSISTED_QUERY_NOT_FOUND" : "GRAPHQL_VALIDATION_FAILED";

const laws = {
  async a_mutation_makes_what_it_says() {
    for (const email of emails) {
      const { contact, userErrors } = await mutate(documents.create, { email, name: "Ann", tags: [tag] });
      assert.deepEqual([contact.__typename, contact.email, userErrors], ["Contact", email, []]);
    }
  },

  async a_connection_is_read_page_by_page() {
    const [read, sizes] = [[], []];
    for (let after = null, more = true; more; ) {
      const { nodes, pageInfo } = await query(documents.contacts, { first: 10, after, tag });
      read.push(...nodes.map(({ email }) => email));
      sizes.push(nodes.length);
      [after, more] = [pageInfo.endCursor, pageInfo.hasNextPage];
    }
    assert.deepEqual([sizes, read], [[10, 10, 5], emails]);
  },

  async a_query_with_variables_is_answered_once_and_again_when_a_mutation_changed_it() {
    const { nodes } = await query(documents.contacts, { first: 1, tag });
    const { id } = nodes[0];
    const found = await query(documents.contact, { id });
    assert.deepEqual(found, { __typename: "Contact", id, name: "Ann", email: emails[0] });
    const before = asked.length;
    await query(documents.contact, { id });
    assert.equal(asked.length, before, "what is known is not asked for again");

    const names = [];
    const watched = client.query(documents.contact, { id }).subscribe(({ data, stale }) => {
      if (!stale) names.push(data.contact.name);
    });
    const { userErrors } = await mutate(documents.change, { contactId: id, name: "Ben" });
    assert.deepEqual(userErrors, []);
    await until("the change", () => names.includes("Ben"));
    watched.unsubscribe();
    assert.deepEqual(names, ["Ann", "Ben"]);
  },

  async what_the_caller_can_mend_is_data_and_no_error() {
    const { contact, userErrors } = await mutate(documents.create, { email: emails[0], name: "Ann again" });
    const [{ __typename, field, message, code }, ...others] = userErrors;
    assert.deepEqual([contact, __typename, field, others], [null, "UserError", ["email"], []]);
    assert.ok(/^[A-Z_]+$/.test(code) && message.length > 0);
  },

  async an_error_answer_is_told_with_its_code() {
    assert.equal(await refusal(client, gql`query Nothing { nothing }`, {}), code);
    assert.equal(asked.at(-1).status, 400);
    const stranger = page(trusted ? byHash() : undefined, "tdm_nobody");
    assert.equal(await refusal(stranger.client, documents.contact, { id: "x" }), "UNAUTHENTICATED");
    assert.equal(asked.at(-1).status, 401);
  },

  async a_subscription_hears_what_others_do() {
    const heard = [];
    const subscription = client
      .subscription(documents.queue, {})
      .subscribe(({ data, error }) => heard.push(error ?? data.workQueueChanged));
    const { nodes } = await query(documents.contacts, { first: 1, tag });
    // When it listens, the protocol does not say: tasks are made until one is heard of.
    await until("news of the queue", async () => {
      const task = { contactId: nodes[0].id, title: tag, dueAt: new Date().toISOString() };
      assert.deepEqual((await mutate(documents.task, task)).userErrors, []);
      return heard.length > 0;
    });
    subscription.unsubscribe();
    assert.equal(heard[0].title, tag, `${heard}`);
    await within("the end of the socket", socket.dispose());
  },

  ...(trusted
    ? {
        async hashes_are_all_that_was_sent() {
          assert.ok(asked.length > 30);
          for (const { query, extensions } of asked) {
            const { persistedQuery } = typeof extensions === "string" ? JSON.parse(extensions) : extensions;
            assert.equal(query, undefined);
            assert.match(persistedQuery.sha256Hash, /^[0-9a-f]{64}$/);
          }
        },
      }
    : {
        async a_hash_that_is_not_known_here_is_answered_so_that_the_document_follows() {
          const before = asked.length;
          const variables = { first: 3, tag };
          const { data, error } = await page(persistedExchange()).client.query(documents.contacts, variables);
          assert.equal(error, undefined);
          assert.equal(data.contacts.nodes.length, 3);
          const [first, second, ...others] = asked.slice(before);
          assert.deepEqual([first.query, others], [undefined, []]);
          assert.match(second.query, /^query Contacts/);
        },
      }),
};

await hold(laws);
