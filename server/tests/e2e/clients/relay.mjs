// Relay as a page uses it, by the artifacts of its compiler: what is asked for again by its id, a list that grows page by page,
// its errors and its subscriptions. Prints the laws that held, and those that did not with what was seen instead, as JSON.
//
//   node relay.mjs ORIGIN TOKEN OTHER_TOKEN FOLDER
//
// The other token is of somebody who may read contacts, and no tokens. The folder is what `relay/compile.mjs` made. Where its
// artifacts hold hashes, these are all that is sent.
import { createClient } from "graphql-ws";
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import relay from "relay-runtime";
import WebSocket from "ws";
import { hold, noting, until, within } from "./laws.mjs";

const [origin, token, other, folder] = process.argv.slice(2);
const require = createRequire(resolve(folder, "__generated__/"));
const artifact = (name) => require(resolve(folder, `__generated__/${name}.graphql.js`)).default;
const { commitMutation, createOperationDescriptor, fetchQuery, getSelector, requestSubscription } = relay;

const asked = [];
const tag = randomUUID();
const emails = Array.from({ length: 25 }, (_, at) => `person${at}@${tag}.example`);

// What is sent of an operation: its text, or its hash where the compiler left that.
const said = ({ id, text, name }, variables) => ({
  ...(id ? { documentId: id } : { query: text }),
  operationName: name,
  variables,
});

function page(bearer) {
  const authorization = `Bearer ${bearer}`;
  const url = `${origin.replace("http", "ws")}/graphql/ws`;
  const socket = createClient({ url, webSocketImpl: WebSocket, connectionParams: { authorization } });
  const fetch = noting(asked);
  const ask = async (params, variables) => {
    const headers = { authorization, "content-type": "application/json", accept: "application/graphql-response+json" };
    const body = JSON.stringify(said(params, variables));
    return (await fetch(`${origin}/graphql`, { method: "POST", headers, body })).json();
  };
  // The client of the socket insists on a text, where there is only a hash.
  const hear = (params, variables) =>
    relay.Observable.create((sink) => socket.subscribe({ query: "", ...said(params, variables) }, sink));
  const network = relay.Network.create(ask, hear);
  const store = new relay.Store(new relay.RecordSource());
  return { environment: new relay.Environment({ network, store }), socket };
}

const { environment, socket } = page(token);

// What a fragment shows of what is known.
function shown(name, parent) {
  const { data, isMissingData } = environment.lookup(getSelector(artifact(name), parent));
  assert.equal(isMissingData, false);
  return data;
}

// Reads what a query asks for, which is kept from then on.
async function read(name, variables) {
  const query = artifact(name);
  environment.retain(createOperationDescriptor(query, variables));
  return fetchQuery(environment, query, variables, { fetchPolicy: "network-only" }).toPromise();
}

function mutate(name, variables) {
  return new Promise((resolve, reject) => {
    const onCompleted = (answer, errors) => (errors ? reject(new Error(JSON.stringify(errors))) : resolve(answer));
    commitMutation(environment, { mutation: artifact(name), variables, onCompleted, onError: reject });
  });
}

async function create(input, connections = []) {
  return (await mutate("pageContactCreateMutation", { input, connections })).contactCreate;
}

// The error by which an operation is refused.
async function refusal(by, query, variables) {
  const error = await fetchQuery(by, query, variables).toPromise().then(assert.fail, (error) => error);
  assert.equal(error.source?.errors?.length, 1, `${error.stack}`);
  return error.source.errors[0];
}

const list = () => read("pageContactsQuery", { count: 10, cursor: null, tag });
const contacts = (parent) => shown("page_contacts", parent).contacts;
const of = ({ edges }) => edges.map(({ node }) => shown("page_contact", node).email);

const laws = {
  async a_mutation_makes_what_it_says() {
    for (const email of emails) {
      const { contact, userErrors } = await create({ email, name: "Ann", tags: [tag] });
      assert.deepEqual([shown("page_contact", contact).email, userErrors], [email, []]);
    }
  },

  async a_connection_grows_by_the_query_that_the_compiler_made_for_it() {
    const query = await list();
    const { metadata } = artifact("page_contacts");
    const { forward } = metadata.refetch.connection;
    const sizes = [];
    for (;;) {
      const { edges, pageInfo } = contacts(query);
      sizes.push(edges.length);
      if (!pageInfo.hasNextPage) break;
      assert.ok(sizes.length < 5, `${sizes}`);
      const variables = { tag, [forward.count]: 10, [forward.cursor]: pageInfo.endCursor };
      await read(metadata.refetch.operation.params.name, variables);
    }
    assert.deepEqual([sizes, of(contacts(query))], [[10, 20, 25], emails]);

    const email = `last@${tag}.example`;
    await create({ email, name: "Zoe" }, [contacts(query).__id]);
    assert.deepEqual(of(contacts(query)), [...emails, email], "what is made is appended to what is shown");
  },

  async a_thing_is_asked_for_again_by_its_id_alone() {
    const [{ node }] = contacts(await list()).edges;
    const changed = await mutate("pageContactChangeMutation", { input: { contactId: node.id, name: "Ben" } });
    assert.deepEqual(changed.contactChange.userErrors, []);
    assert.equal(shown("page_contact", node).name, "Ben", "what a mutation tells of is known everywhere");

    const { identifierInfo, operation } = artifact("page_contact").metadata.refetch;
    assert.deepEqual(identifierInfo, { identifierField: "id", identifierQueryVariableName: "id" });
    const before = asked.length;
    const found = await read(operation.params.name, { id: node.id });
    assert.deepEqual(shown("page_contact", found.node), { id: node.id, name: "Ben", email: emails[0] });
    assert.deepEqual([asked.length, asked.at(-1).variables], [before + 1, { id: node.id }]);
    const nobody = await read(operation.params.name, { id: `${node.id}AAAA` });
    assert.equal(nobody.node, null);
  },

  async what_the_caller_can_mend_is_data_and_no_error() {
    const { contact, userErrors } = await create({ email: emails[0], name: "Ann again" });
    const [{ field, message, code }, ...others] = userErrors;
    assert.deepEqual([contact, field, others], [null, ["email"], []]);
    assert.ok(/^[A-Z_]+$/.test(code) && message.length > 0);
  },

  async an_error_answer_is_told_with_its_code_and_its_place() {
    const forbidden = await refusal(page(other).environment, artifact("pageTokensQuery"), {});
    assert.deepEqual([forbidden.extensions.code, forbidden.path], ["FORBIDDEN", ["accessTokens"]]);
    assert.equal(asked.at(-1).status, 200);
    const unknown = await refusal(page("tdm_nobody").environment, artifact("pageTokensQuery"), {});
    assert.deepEqual([unknown.extensions.code, asked.at(-1).status], ["UNAUTHENTICATED", 401]);
  },

  async a_subscription_hears_what_others_do() {
    const heard = [];
    const subscription = requestSubscription(environment, {
      subscription: artifact("pageQueueSubscription"),
      variables: {},
      onNext: ({ workQueueChanged }) => heard.push(workQueueChanged.title),
      onError: (error) => heard.push(error),
    });
    const [{ node }] = contacts(await list()).edges;
    // When it listens, the protocol does not say: tasks are made until one is heard of.
    await until("news of the queue", async () => {
      const input = { contactId: node.id, title: tag, dueAt: new Date().toISOString() };
      assert.deepEqual((await mutate("pageTaskCreateMutation", { input })).taskCreate.userErrors, []);
      return heard.length > 0;
    });
    subscription.dispose();
    assert.equal(heard[0], tag);
    await within("the end of the socket", socket.dispose());
  },

  async what_the_compiler_left_is_all_that_was_sent() {
    assert.ok(asked.length > 30);
    const hashes = Boolean(artifact("pageContactsQuery").params.id);
    for (const { query, documentId } of asked) {
      assert.deepEqual([query === undefined, documentId !== undefined], [hashes, hashes]);
    }
  },
};

await hold(laws);
