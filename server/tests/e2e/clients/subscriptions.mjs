// Subscriptions as a page of Apollo's or urql's uses them, through the usual client of graphql-transport-ws: what others do
// over HTTP is heard, in order and once, by whom it concerns, over sockets that break and come back.
// Prints the laws that held, and those that did not with what was seen instead, as JSON.
//
//   node subscriptions.mjs ORIGIN TOKEN [LAW...]
//
// The token is an administrator's. On the way it prints `stop`, `kill` and `start`, each on a line, and goes on when a line is
// said to it: then whoever runs it has ended the server, or started it again at the same address.
import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { Line, until } from "./subscriptions/line.mjs";
import { Stage } from "./subscriptions/stage.mjs";

// When no further law is begun: whoever runs this waits for the report, and not for ever.
const LATEST = Date.now() + 120_000;
// How long a change is waited for of which it is not known whether anybody listened to it.
const PERHAPS = 1_000;

const QUEUE = "subscription Queue { workQueueChanged(kind: TASK) { __typename id title state claim { token } } }";
const MINE = "subscription Mine { myWorkChanged { __typename id title state } }";
const OFFERS = "subscription Offers { offerMade { __typename id state } }";
const HANDOFF = "subscription Handoff($id: ID!) { handoffChanged(id: $id) { __typename id state } }";
const ENROLLMENT = "subscription Enrollment($id: ID!) { enrollmentChanged(id: $id) { id state stateReason } }";
const REQUESTS = "subscription Requests($id: ID!) { changeRequestChanged(listId: $id) { id state list { id } } }";
const VIEWER = "{ viewer { email } }";

const [origin, admin, ...only] = process.argv.slice(2);
const stage = new Stage(origin, admin);
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// Has the server ended or started.
async function server(does) {
  console.log(does);
  assert.ok(!(await answers.next()).done, `nobody answers to ${does}`);
}

function line(token, options) {
  return new Line(stage.url, { authorization: `Bearer ${token}` }, options);
}

// Waits until operations listen: the protocol does not say when they do. Makes changes until one was heard by each.
async function listening(operations, change) {
  for (let round = 0; round < 20; round += 1) {
    const last = await change();
    const heard = await Promise.all(operations.map((operation) => operation.passedOver(last, PERHAPS)));
    if (heard.every(Boolean)) return;
  }
  assert.fail(`nothing is heard by ${operations.map(({ said }) => said).join(" and ")}`);
}

// A change that everybody hears of who listens to the queue, and to the work of an SDR.
const work = (sdr) => async () => {
  const title = stage.name("probe");
  const id = await stage.task(title);
  const claim = await stage.claim(sdr.token, id);
  await stage.start(sdr.token, id, claim);
  await stage.complete(sdr.token, id, claim);
  return (item) => item.title === title && item.state === "DONE";
};

// A change of a list.
const proposal = (person, list) => async () => {
  const request = await stage.propose(person.token, list);
  await stage.withdraw(person.token, request);
  return ({ id, state }) => id === request.id && state === "WITHDRAWN";
};

// An offer to a seller.
const offer = (sdr, pool) => async () => {
  const handoff = await stage.dispatch(await stage.verified(sdr), pool);
  return ({ id }) => id === handoff;
};

const laws = {
  async a_lazy_client_has_a_socket_while_it_needs_one_and_another_has_one_at_once() {
    const { token, email } = await stage.person("SDR");
    const viewer = { data: { viewer: { email } } };
    const lazy = line(token);
    const { data, errors } = await lazy.ask(VIEWER);
    assert.deepEqual({ data, errors }, { ...viewer, errors: undefined });
    await until(() => lazy.closed.length > 0, "the lazy client hangs up");
    assert.deepEqual([lazy.opened, lazy.closed[0].code], [1, 1000]);
    assert.deepEqual((await lazy.ask(VIEWER)).data, viewer.data);
    assert.equal(lazy.opened, 2);

    const params = async () => ({ authorization: `Bearer ${token}` });
    const eager = new Line(stage.url, params, { lazy: false });
    await until(() => eager.connected === 1, "the other client connects before it is asked for anything");
    for (let n = 0; n < 3; n += 1) assert.deepEqual((await eager.ask(VIEWER)).data, viewer.data);
    assert.deepEqual([eager.opened, eager.closed], [1, []]);
    await eager.hangUp();
    await until(() => eager.closed.length > 0, "it hangs up when it is told to");
    assert.equal(eager.closed[0].code, 1000);
  },

  async everything_that_changes_is_heard_in_order_and_once_over_one_socket() {
    const [sdr, marketer] = [await stage.person("SDR"), await stage.person("MARKETING")];
    const [list, enrollmentId] = [await stage.list(), await stage.enrollment()];
    const one = line(sdr.token);
    const [queue, mine] = [one.begin(QUEUE), one.begin(MINE)];
    const [requests, enrollment] = [one.begin(REQUESTS, { id: list }), one.begin(ENROLLMENT, { id: enrollmentId })];
    await listening([queue, mine], work(sdr));
    await listening([requests], proposal(marketer, list));

    const id = await stage.task("Call Ann");
    const item = { __typename: "WorkItem", id, title: "Call Ann" };
    assert.deepEqual(await queue.event("a new task"), { ...item, state: "QUEUED", claim: null });
    let token = await stage.claim(sdr.token, id);
    assert.deepEqual(await queue.event("a claim"), { ...item, state: "CLAIMED", claim: { token } });
    assert.deepEqual(await mine.event("a claim"), { ...item, state: "CLAIMED" });
    await stage.release(sdr.token, id, token);
    assert.deepEqual(await queue.event("a release"), { ...item, state: "QUEUED", claim: null });
    assert.deepEqual(await mine.event("what is lost"), { ...item, state: "QUEUED" });
    const both = async (what) => [(await queue.event(what)).state, (await mine.event(what)).state];
    token = await stage.claim(sdr.token, id);
    assert.deepEqual(await both("another claim"), ["CLAIMED", "CLAIMED"]);
    await stage.start(sdr.token, id, token);
    assert.deepEqual(await both("the start"), ["IN_PROGRESS", "IN_PROGRESS"]);
    await stage.complete(sdr.token, id, token);
    assert.deepEqual(await both("the end"), ["DONE", "DONE"]);

    // An enrolment begins with how it is: its first step may have run by then, or not.
    let seen = await enrollment.event("the enrolment as it is");
    while (seen.state !== "WAITING") seen = await enrollment.event("the enrolment waits for a month to pass");
    await stage.run(sdr.token, "enrollmentPause", { enrollmentId }, "enrollment { id }");
    assert.equal((await enrollment.event("the pause")).state, "PAUSED");
    await stage.run(sdr.token, "enrollmentResume", { enrollmentId }, "enrollment { id }");
    seen = await enrollment.event("the end of the pause");
    while (seen.state !== "WAITING") seen = await enrollment.event("it waits again");
    await stage.run(sdr.token, "enrollmentExit", { enrollmentId }, "enrollment { id }");
    assert.deepEqual(await enrollment.event("the exit"), { id: enrollmentId, state: "EXITED", stateReason: "MANUAL" });

    const request = await stage.propose(marketer.token, list);
    const asked = { id: request.id, state: "PARTIALLY_APPROVED", list: { id: list } };
    assert.deepEqual(await requests.event("a proposal"), asked);
    await stage.withdraw(marketer.token, request);
    assert.deepEqual(await requests.event("its end"), { ...asked, state: "WITHDRAWN" });

    // What comes next is what happens next: nothing came twice.
    const last = await stage.task("Last");
    assert.equal((await queue.event("the last task")).id, last);
    await stage.claim(sdr.token, last);
    assert.equal((await mine.event("the last claim")).id, last);
    assert.deepEqual([requests.rest, enrollment.rest], [[], []]);
    assert.deepEqual([one.opened, one.closed], [1, []]);
  },

  async a_seller_hears_of_offers_and_a_handoff_is_followed_to_its_work() {
    const [sdr, ann, ben] = [await stage.person("SDR"), await stage.person("SALES"), await stage.person("SALES")];
    const [hers, his] = [await stage.pool(ann), await stage.pool(ben)];
    const [annsLine, bensLine] = [line(ann.token), line(ben.token)];
    const [toAnn, toBen] = [annsLine.begin(OFFERS), bensLine.begin(OFFERS)];
    await listening([toAnn], offer(sdr, hers));
    await listening([toBen], offer(sdr, his));

    const offered = [];
    for (let n = 0; n < 3; n += 1) {
      offered.push(await stage.dispatch(await stage.verified(sdr), hers));
      const handoff = { __typename: "Handoff", id: offered[n], state: "OFFERED" };
      assert.deepEqual(await toAnn.event("an offer"), handoff);
    }
    const handoff = annsLine.begin(HANDOFF, { id: offered[0] });
    assert.equal((await handoff.event("the handoff as it is")).state, "OFFERED");
    await stage.handoff(ann.token, "Accept", offered[0]);
    assert.equal((await handoff.event("the acceptance")).state, "ACCEPTED");
    await stage.handoff(ann.token, "Start", offered[0]);
    assert.equal((await handoff.event("the start")).state, "WORKING");

    const next = await stage.dispatch(await stage.verified(sdr), his);
    assert.deepEqual(await toBen.event("an offer to Ben"), { __typename: "Handoff", id: next, state: "OFFERED" });
    assert.deepEqual([toAnn.rest, toBen.rest, handoff.rest], [[], [], []]);
    assert.deepEqual([annsLine.opened, annsLine.closed], [1, []]);
  },

  async everybody_who_listens_hears_each_change_once() {
    const sdr = await stage.person("SDR");
    const everybody = Array.from({ length: 20 }, () => line(sdr.token).begin(QUEUE));
    await listening(everybody, work(sdr));
    for (const title of ["First", "Second", "Third"]) {
      const id = await stage.task(title);
      const heard = await Promise.all(everybody.map((queue) => queue.event(title)));
      assert.deepEqual(heard.map((item) => item.id), Array(20).fill(id));
    }
    assert.deepEqual(everybody.flatMap(({ rest, ends }) => [...rest, ...ends]), []);
  },

  async changes_that_follow_at_once_are_heard_in_order_and_none_twice() {
    const sdr = await stage.person("SDR");
    const queue = line(sdr.token).begin(QUEUE);
    await listening([queue], work(sdr));
    const from = queue.results.length;
    await Promise.all(Array.from({ length: 40 }, work(sdr)));
    const last = await stage.task("Last");
    await queue.passedOver(({ id }) => id === last);
    const states = new Map();
    for (const { data: { workQueueChanged: { title, state } } } of queue.results.slice(from, -1)) {
      states.set(title, [...(states.get(title) ?? []), state]);
    }
    assert.equal(states.size, 40);
    for (const [title, heard] of states) {
      // Some of them may come as one.
      const expected = ["QUEUED", "CLAIMED", "IN_PROGRESS"].filter((state) => heard.includes(state));
      assert.deepEqual(heard, [...expected, "DONE"], title);
    }
  },

  async whoever_stops_one_operation_goes_on_with_the_others() {
    const [sdr, enrollmentId] = [await stage.person("SDR"), await stage.enrollment()];
    const one = line(sdr.token);
    const [stopped, twin, mine] = [one.begin(QUEUE), one.begin(QUEUE), one.begin(MINE)];
    const enrollment = one.begin(ENROLLMENT, { id: enrollmentId });
    await listening([stopped, twin, mine], work(sdr));
    await enrollment.event("the enrolment as it is");
    stopped.stop();
    // The server takes messages in turn: it has heard of the end when it answers what was asked behind it.
    assert.ok((await one.ask(VIEWER)).data.viewer);
    const [told, heard] = [stopped.results.length, one.messages.length];

    const id = await stage.task("After");
    const claim = await stage.claim(sdr.token, id);
    assert.equal((await mine.event("a claim")).id, id);
    await twin.passedOver(({ state }) => state === "CLAIMED");
    await stage.release(sdr.token, id, claim);
    assert.equal((await mine.event("a release")).state, "QUEUED");
    assert.equal((await twin.event("a release, to the twin")).state, "QUEUED");
    assert.equal(stopped.results.length, told);
    const after = new Set(one.messages.slice(heard).map((message) => message.id));
    assert.deepEqual([after.size, one.opened, one.closed], [2, 1, []], "the twin's and its own work's messages alone");
    for (const operation of [twin, mine, enrollment]) operation.stop();
    await until(() => one.closed.length > 0, "the last one hangs up");
    assert.equal(one.closed[0].code, 1000);
  },

  async queries_and_mutations_run_beside_a_subscription() {
    const sdr = await stage.person("SDR");
    const one = line(sdr.token);
    const mine = one.begin(MINE);
    await listening([mine], work(sdr));
    const id = await stage.task("Over the socket");
    const claim = `mutation Claim($input: WorkItemClaimInput!) {
      workItemClaim(input: $input) { workItem { state claim { token holder { email } } } userErrors { code } } }`;
    const [claimed, { data: { viewer } }] = await Promise.all([
      one.ask(claim, { input: { workItemId: id } }),
      one.ask(VIEWER),
    ]);
    assert.equal(viewer.email, sdr.email);
    const { workItem, userErrors } = claimed.data.workItemClaim;
    assert.deepEqual([workItem.state, workItem.claim.holder, userErrors], ["CLAIMED", { email: sdr.email }, []]);
    assert.deepEqual(await mine.event("what was claimed"), { __typename: "WorkItem", id, title: "Over the socket", state: "CLAIMED" });
    const again = await one.ask(claim, { input: { workItemId: id } });
    assert.equal(again.data.workItemClaim.userErrors.length, 1, "a refusal is a result");
    const { data, errors } = await one.ask(`query Jobs { viewer { id } jobs(first: 1) { nodes { id } } }`);
    assert.deepEqual([data, errors[0].path, errors[0].extensions.code], [null, ["jobs"], "FORBIDDEN"]);
    assert.deepEqual([mine.rest, one.opened, one.closed], [[], 1, []]);
  },

  async a_request_that_is_refused_is_one_list_of_errors_and_no_end_follows() {
    const sdr = await stage.person("SDR");
    const one = line(sdr.token);
    const mine = one.begin(MINE);
    await listening([mine], work(sdr));
    for (const [query, code, variables] of [
      ["query Unknown { nothing }", "GRAPHQL_VALIDATION_FAILED"],
      ["subscription Unknown { nothingChanged { id } }", "GRAPHQL_VALIDATION_FAILED"],
      ["subscription Unknown { myWorkChanged { nothing } }", "GRAPHQL_VALIDATION_FAILED"],
      ["subscription Broken { myWorkChanged {", "GRAPHQL_PARSE_FAILED"],
      ["subscription Two { myWorkChanged { id } offerMade { id } }", "GRAPHQL_VALIDATION_FAILED"],
      [HANDOFF, "BAD_USER_INPUT", {}],
    ]) {
      const heard = one.messages.length;
      const refused = one.begin(query, variables);
      const { error } = await refused.end("a refusal");
      assert.ok(Array.isArray(error) && error.length > 0, `${query}: ${JSON.stringify(error)}`);
      assert.equal(error[0].extensions.code, code, JSON.stringify(error));
      // Whatever the server says next is about what it was asked next.
      assert.ok((await one.ask(VIEWER)).data.viewer);
      const kinds = one.messages.slice(heard).map(({ type }) => type);
      assert.deepEqual(kinds, ["error", "next", "complete"], query);
      assert.deepEqual([refused.results, refused.ends.length], [[], 1], query);
    }
    const id = await stage.task("Still here");
    await stage.claim(sdr.token, id);
    assert.equal((await mine.event("a claim")).id, id);
    assert.deepEqual([one.opened, one.closed], [1, []]);
  },

  async a_token_that_is_not_known_closes_with_4403_and_a_new_one_opens() {
    const denied = { code: 4403, reason: "this token is not known" };
    // By itself this client tries again after 4403, since the next token may be good; a page that has no other says no.
    const last = line("tdm_nobody", { shouldRetry: ({ code }) => code !== 4403 });
    const { error } = await last.begin(MINE).end("a refusal");
    assert.deepEqual({ code: error.code, reason: error.reason }, denied);
    assert.deepEqual([last.connecting, last.opened, last.connected, last.closed], [1, 1, 0, [denied]]);
    const tries = line("tdm_nobody", { retryAttempts: 2, retryWait: async () => {} });
    assert.equal((await tries.begin(MINE).end("a refusal after three tries")).error.code, 4403);
    assert.deepEqual([tries.connecting, tries.connected], [3, 0]);
    const nameless = new Line(stage.url, {}, { retryAttempts: 0 });
    assert.equal((await nameless.begin(VIEWER).end("a refusal")).error.code, 4403);

    const sdr = await stage.person("SDR");
    const tokens = ["tdm_nobody", sdr.token];
    const params = async () => ({ authorization: `Bearer ${tokens.shift()}` });
    const renewed = new Line(stage.url, params, { retryWait: async () => {} });
    const mine = renewed.begin(MINE);
    await listening([mine], work(sdr));
    assert.deepEqual([renewed.opened, renewed.connected, renewed.closed], [2, 1, [denied]]);
  },

  async whoever_may_not_see_it_is_told_nothing() {
    const [sdr, other] = [await stage.person("SDR"), await stage.person("SDR")];
    const [list, another] = [await stage.list(), await stage.list()];
    const marketer = await stage.person("MARKETING");
    const revoked = await stage.token(sdr.id, "SDR");
    const [hers, his] = [line(sdr.token), line(other.token)];
    const [mine, theirs] = [hers.begin(MINE), his.begin(MINE)];
    const [requests, gone] = [hers.begin(REQUESTS, { id: list }), line(revoked.token).begin(QUEUE)];
    await listening([mine, gone], work(sdr));
    await listening([theirs], work(other));
    await listening([requests], proposal(marketer, list));

    // The work of another, and a list beside.
    const id = await stage.task("Not for everybody");
    await stage.claim(sdr.token, id);
    assert.equal((await mine.event("a claim")).id, id);
    await stage.propose(marketer.token, another);
    // A token that has ended hears why, and not what.
    assert.ok(await gone.passedOver((item) => item.id === id && item.state === "CLAIMED"));
    await stage.run(stage.admin, "accessTokenRevoke", { tokenId: revoked.tokenId }, "token { id }");
    await stage.task("Secret");
    const { error } = await gone.end("the end of a revoked token's subscription");
    assert.deepEqual(error.map(({ extensions }) => extensions.code), ["UNAUTHENTICATED"]);
    assert.ok(!JSON.stringify([gone.results, error]).includes("Secret"));

    const next = await stage.task("For another");
    await stage.claim(other.token, next);
    assert.equal((await theirs.event("his first")).id, next);
    const request = await stage.propose(marketer.token, list);
    assert.equal((await requests.event("the first of this list")).id, request.id);
    assert.deepEqual([mine.rest, theirs.rest, requests.rest], [[], [], []]);

    // What is not there, or is something else, is not watched.
    for (const missing of [id, Buffer.from(`Handoff:${"0".repeat(8)}-0000-7000-8000-${"0".repeat(12)}`).toString("base64url")]) {
      const watched = hers.begin(HANDOFF, { id: missing });
      await watched.end("a refusal");
      assert.ok(!watched.results.some(({ data }) => data), JSON.stringify(watched.results));
    }
    // A token that may only read changes nothing over a socket either.
    const reads = await stage.token(sdr.id, "SDR", ["READ"]);
    const release = `mutation Start($id: ID!) { workItemClaim(input: { workItemId: $id }) { workItem { id } userErrors { code } } }`;
    const only = await line(reads.token).ask(release, { id: await stage.task("Free") });
    assert.match(JSON.stringify(only), /FORBIDDEN/);
  },

  async a_client_that_asks_whether_somebody_is_there_is_answered() {
    const { token } = await stage.person("SDR");
    const one = line(token, { lazy: false, keepAlive: 20 });
    // The recipe for a line that went dead: whoever does not answer a ping is left.
    let late;
    one.client.on("ping", () => (late = setTimeout(() => one.client.terminate(), 10_000)));
    one.client.on("pong", () => clearTimeout(late));
    await until(() => one.pongs >= 3, "three answers");
    assert.ok((await one.ask(VIEWER)).data.viewer);
    const { pongs } = one;
    await until(() => one.pongs >= pongs + 3, "three more");
    assert.deepEqual([one.opened, one.closed], [1, []]);
  },

  async a_server_that_is_stopped_and_started_again_is_found_by_the_clients_own_means() {
    const [sdr, enrollmentId] = [await stage.person("SDR"), await stage.enrollment()];
    const [lazy, eager] = [line(sdr.token), line(sdr.token, { lazy: false })];
    const [queue, mine] = [lazy.begin(QUEUE), eager.begin(MINE)];
    const enrollment = lazy.begin(ENROLLMENT, { id: enrollmentId });
    await listening([queue, mine], work(sdr));
    let seen = await enrollment.event("the enrolment as it is");
    while (seen.state !== "WAITING") seen = await enrollment.event("the enrolment waits");
    await server("stop");
    await until(() => lazy.closed.length > 0 && eager.closed.length > 0, "the server says good-bye");
    assert.deepEqual([lazy, eager].map(({ closed }) => closed[0]), Array(2).fill({ code: 1001, reason: "going away" }));
    await server("start");
    await until(() => lazy.connected === 2 && eager.connected === 2, "both come back");
    assert.deepEqual(await enrollment.event("the enrolment as it is"), seen);
    await listening([queue, mine], work(sdr));
    const id = await stage.task("After the restart");
    assert.equal((await queue.event("a task")).id, id);
    await stage.claim(sdr.token, id);
    assert.equal((await mine.event("a claim")).id, id);
    assert.equal((await queue.event("the same in the queue")).state, "CLAIMED");
    await stage.run(sdr.token, "enrollmentPause", { enrollmentId }, "enrollment { id }");
    assert.equal((await enrollment.event("the pause")).state, "PAUSED");
    const left = [queue, mine, enrollment].flatMap(({ rest, ends }) => [rest, ends]);
    assert.deepEqual(left, Array(6).fill([]), "nothing more, and nothing has ended");
  },

  async a_server_that_is_killed_is_found_again_when_it_is_there() {
    const sdr = await stage.person("SDR");
    let there;
    const back = new Promise((resolve) => (there = resolve));
    // The recipe for a server whose health can be asked for: try again when it is there.
    const one = line(sdr.token, { retryAttempts: Infinity, retryWait: () => back });
    const mine = one.begin(MINE);
    await listening([mine], work(sdr));
    await server("kill");
    await until(() => one.closed.length > 0, "the line breaks");
    assert.equal(one.closed[0].code, 1006);
    await server("start");
    there();
    await listening([mine], work(sdr));
    const id = await stage.task("After the kill");
    await stage.claim(sdr.token, id);
    assert.equal((await mine.event("a claim")).id, id);
    assert.deepEqual([one.connected, one.closed.length, mine.rest, mine.ends], [2, 1, [], []]);
  },
};

const [held, failures] = [[], []];
for (const [name, law] of Object.entries(laws)) {
  if (only.length > 0 && !only.includes(name)) continue;
  try {
    assert.ok(Date.now() < LATEST, "there was no time left for it");
    await law();
    held.push(name);
  } catch (error) {
    failures.push({ law: name, seen: `${error.stack}`.split("\n").filter((text) => !text.includes("node:")) });
  }
  await Line.hangUpAll();
}
console.log(JSON.stringify({ held: held.length, failures }));
process.exit(0);
