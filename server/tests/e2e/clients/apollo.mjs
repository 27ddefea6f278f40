// Apollo Client as a page uses it: its cache, its pages, its errors, its subscriptions and its persisted queries.
// Prints the laws that held, and those that did not with what was seen instead, as JSON.
//
//   node apollo.mjs ORIGIN TOKEN [MANIFEST]
//
// With the manifest that Apollo's own generator wrote, the page names its documents by their hashes alone, and the server
// executes nothing else.
import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { relayStylePagination } from "@apollo/client/utilities";
import { generatePersistedQueryIdsFromManifest } from "@apollo/persisted-query-lists";
import { createClient } from "graphql-ws";
import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import WebSocket from "ws";
import { CHANGE, CONTACT, CONTACTS, CREATE, QUEUE, TASK } from "./apollo/documents.mjs";
import { hold, noting, until, within } from "./laws.mjs";

const [origin, token, manifest] = process.argv.slice(2);
const asked = [];
const tag = randomUUID();
const emails = Array.from({ length: 25 }, (_, at) => `person${at}@${tag}.example`);

// A client whose requests go through a link before they go out.
function page(first, bearer = token) {
  const headers = { authorization: `Bearer ${bearer}` };
  const http = new HttpLink({ uri: `${origin}/graphql`, headers, fetch: noting(asked) });
  const url = `${origin.replace("http", "ws")}/graphql/ws`;
  const socket = createClient({ url, webSocketImpl: WebSocket, connectionParams: headers });
  const link = ApolloLink.split(
    ({ operationType }) => operationType === "subscription",
    new GraphQLWsLink(socket),
    first ? first.concat(http) : http,
  );
  const typePolicies = { Query: { fields: { contacts: relayStylePagination(["filter"]) } } };
  return { client: new ApolloClient({ cache: new InMemoryCache({ typePolicies }), link }), socket };
}

const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const trusted = (options = {}) => {
  const loadManifest = () => JSON.parse(readFileSync(manifest, "utf8"));
  return new PersistedQueryLink({ ...generatePersistedQueryIdsFromManifest({ loadManifest }), ...options });
};
const { client, socket } = page(manifest ? trusted() : undefined);

// What a mutation answers with, in which there is no error of the request.
async function mutate(mutation, input, by = client) {
  const { data, error } = await by.mutate({ mutation, variables: { input } });
  assert.equal(error, undefined);
  return Object.values(data)[0];
}

// The error by which an operation is refused.
async function refusal(by, options) {
  const error = await by.query({ fetchPolicy: "no-cache", ...options }).then(assert.fail, (error) => error);
  assert.ok(CombinedGraphQLErrors.is(error), `${error.name}: ${error}`);
  assert.equal(error.errors.length, 1);
  return error.errors[0].extensions.code;
}

const code = manifest ? "PERSISTED_QUERY_NOT_FOUND" : "GRAPHQL_VALIDATION_FAILED";

const laws = {
  async a_mutation_makes_what_it_says() {
    for (const email of emails) {
      const { contact, userErrors } = await mutate(CREATE, { email, name: "Ann", tags: [tag] });
      assert.deepEqual([contact.__typename, contact.email, userErrors], ["Contact", email, []]);
    }
  },

  async a_connection_is_read_page_by_page_into_one_list() {
    const list = client.watchQuery({ query: CONTACTS, variables: { first: 10, tag } });
    const [shown, errors] = [[], []];
    // What is shown may be nothing yet, also when nothing is on its way.
    const listening = list.subscribe(({ data, error, loading }) => {
      if (error) errors.push(`${error}`);
      if (!loading && data?.contacts) shown.push(data.contacts);
    });
    await until("the first page", () => shown.length > 0 || errors.length > 0);
    assert.deepEqual(errors, []);
    const sizes = [shown[0].edges.length];
    for (let { pageInfo } = shown[0]; pageInfo.hasNextPage; ) {
      const { data } = await list.fetchMore({ variables: { after: pageInfo.endCursor } });
      sizes.push(data.contacts.edges.length);
      pageInfo = data.contacts.pageInfo;
    }
    await until("the whole list", () => !shown.at(-1).pageInfo.hasNextPage);
    listening.unsubscribe();
    const read = shown.at(-1).edges.map(({ node }) => node.email);
    assert.deepEqual([sizes, read], [[10, 10, 5], emails]);
  },

  async a_query_with_variables_is_answered_and_kept_by_its_id() {
    const { data } = await client.query({ query: CONTACTS, variables: { first: 1, tag } });
    const [{ node }] = data.contacts.edges;
    const found = await client.query({ query: CONTACT, variables: { id: node.id } });
    const ann = { __typename: "Contact", id: node.id, name: "Ann", email: emails[0] };
    assert.deepEqual(found.data.contact, ann);
    assert.deepEqual(client.cache.extract()[`Contact:${node.id}`], ann);
    const before = asked.length;
    await client.query({ query: CONTACT, variables: { id: node.id } });
    assert.equal(asked.length, before, "what is known is not asked for again");

    const ben = await mutate(CHANGE, { contactId: node.id, name: "Ben" });
    assert.deepEqual(ben.userErrors, []);
    const now = await client.query({ query: CONTACT, variables: { id: node.id } });
    assert.deepEqual([now.data.contact.name, asked.length], ["Ben", before + 1]);
  },

  async what_the_caller_can_mend_is_data_and_no_error() {
    const { contact, userErrors } = await mutate(CREATE, { email: emails[0], name: "Ann again" });
    const [{ __typename, field, message, code }, ...others] = userErrors;
    assert.deepEqual([contact, __typename, field, others], [null, "UserError", ["email"], []]);
    assert.ok(/^[A-Z_]+$/.test(code) && message.length > 0);
  },

  async an_error_answer_is_told_with_its_code() {
    // The manifest does not know it either.
    const { client } = page(manifest ? new PersistedQueryLink({ sha256 }) : undefined);
    assert.equal(await refusal(client, { query: gql`query Nothing { nothing }` }), code);
    assert.equal(asked.at(-1).status, 400);
    const stranger = page(manifest ? trusted() : undefined, "tdm_nobody");
    assert.equal(await refusal(stranger.client, { query: CONTACT, variables: { id: "x" } }), "UNAUTHENTICATED");
    assert.equal(asked.at(-1).status, 401);
  },

  async a_subscription_hears_what_others_do() {
    const heard = [];
    const subscription = client.subscribe({ query: QUEUE }).subscribe({
      next: ({ data, error }) => heard.push(error ?? data.workQueueChanged),
      error: (error) => heard.push(error),
    });
    const { data } = await client.query({ query: CONTACTS, variables: { first: 1, tag } });
    const contactId = data.contacts.edges[0].node.id;
    // When it listens, the protocol does not say: tasks are made until one is heard of.
    await until("news of the queue", async () => {
      const { userErrors } = await mutate(TASK, { contactId, title: tag, dueAt: new Date().toISOString() });
      assert.deepEqual(userErrors, []);
      return heard.length > 0;
    });
    subscription.unsubscribe();
    const [{ __typename, title }] = heard;
    assert.deepEqual([__typename, title], ["WorkItem", tag]);
    await within("the end of the socket", socket.dispose());
  },

  ...(manifest
    ? {
        async the_hashes_of_apollos_manifest_are_all_that_was_sent() {
          assert.ok(asked.filter(({ query }) => query === undefined).length > 30);
          // What was sent in full is the document of nobody, by which a hash was found unknown.
          const full = asked.filter(({ query }) => query !== undefined);
          assert.deepEqual([...new Set(full.map(({ query }) => query.includes("nothing")))], [true]);
          for (const { extensions } of asked) assert.match(extensions.persistedQuery.sha256Hash, /^[0-9a-f]{64}$/);
        },

        async a_hash_is_asked_for_by_get_too() {
          const getting = page(trusted({ useGETForHashedQueries: true })).client;
          const { data } = await getting.query({ query: CONTACTS, variables: { first: 3, tag } });
          assert.equal(data.contacts.edges.length, 3);
          const { method, query } = asked.at(-1);
          assert.deepEqual([method, query], ["GET", undefined]);
        },
      }
    : {
        async a_hash_that_is_not_known_here_is_answered_so_that_the_document_follows() {
          const persisted = page(new PersistedQueryLink({ sha256 })).client;
          const before = asked.length;
          const { data } = await persisted.query({ query: CONTACTS, variables: { first: 3, tag } });
          assert.equal(data.contacts.edges.length, 3);
          const [first, second, ...others] = asked.slice(before);
          assert.deepEqual([first.query, others], [undefined, []]);
          assert.equal(second.extensions.persistedQuery.sha256Hash, sha256(second.query));
        },
      }),
};

await hold(laws);
