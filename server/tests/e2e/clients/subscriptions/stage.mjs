// What subscriptions tell of: people with tokens, and what they do over HTTP.
import { request } from "node:http";

const WEEK = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];

// The side of a role that has one.
const SIDES = { MARKETING: "MARKETING", SALES: "SALES" };

// Does nothing for a month.
const SEQUENCE = `
key: patience
name: Patience
subject: contact
steps:
  - {id: think, kind: wait, duration: 30d}
  - {id: done, kind: end}
`;

// Posts an operation on a connection of its own: the server is stopped now and then, and one that was kept would be gone.
function post(origin, token, body) {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const sent = request(`${origin}/graphql`, { method: "POST", headers, agent: false }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part) => (text += part)).on("error", reject);
      answer.on("end", () => resolve(text));
    });
    sent.on("error", reject).end(JSON.stringify(body));
  });
}

export class Stage {
  #count = 0;

  constructor(origin, admin) {
    this.origin = origin;
    this.url = `${origin.replace("http", "ws")}/graphql/ws`;
    this.admin = admin;
  }

  // A name that nothing else has.
  name(of) {
    this.#count += 1;
    return `${of} ${this.#count}`;
  }

  async ask(token, query, variables = {}) {
    const text = await post(this.origin, token, { query, variables });
    const { data, errors } = JSON.parse(text);
    if (errors) throw new Error(`${query.slice(0, 80)}: ${JSON.stringify(errors)}`);
    return data;
  }

  // Runs a mutation and gives what it was asked for; it must not be refused.
  async run(token, mutation, input, fields) {
    const type = `${mutation[0].toUpperCase()}${mutation.slice(1)}Input!`;
    const query = `mutation($input: ${type}) { ${mutation}(input: $input) { ${fields} userErrors { message code } } }`;
    const { userErrors, ...payload } = (await this.ask(token, query, { input }))[mutation];
    if (userErrors.length > 0) throw new Error(`${mutation}: ${JSON.stringify(userErrors)}`);
    return Object.values(payload)[0];
  }

  // A user with one role, and a token.
  async person(role) {
    const side = SIDES[role];
    const name = this.name(role.toLowerCase());
    const email = `${name.replace(" ", "")}@example.com`;
    const { id } = await this.run(this.admin, "userCreate", { email, name, roles: [role], side }, "user { id }");
    return { id, email, role, ...(await this.token(id, role)) };
  }

  // Another token of a user.
  async token(userId, role, scopes = []) {
    const fields = "secret token { id }";
    const input = { userId, name: "test", role, scopes };
    const query = `mutation($input: AccessTokenIssueInput!) { accessTokenIssue(input: $input) { ${fields} } }`;
    const { secret, token } = (await this.ask(this.admin, query, { input })).accessTokenIssue;
    return { token: secret, tokenId: token.id };
  }

  async contact() {
    const name = this.name("Ann");
    const email = `${name.replace(" ", "")}@customer.example`;
    return (await this.run(this.admin, "contactCreate", { name, email }, "contact { id }")).id;
  }

  // A task in the queue, which is due.
  async task(title) {
    this.somebody ??= await this.contact();
    const input = { contactId: this.somebody, title, dueAt: new Date().toISOString() };
    return (await this.run(this.admin, "taskCreate", input, "workItem { id }")).id;
  }

  // Each gives the claim's token, which goes with everything that is done under it.
  async claim(token, workItemId) {
    return (await this.run(token, "workItemClaim", { workItemId }, "workItem { claim { token } }")).claim.token;
  }

  async start(token, workItemId, claim) {
    await this.run(token, "workItemStart", { workItemId, token: claim }, "workItem { id }");
  }

  async complete(token, workItemId, claim) {
    await this.run(token, "taskComplete", { workItemId, token: claim }, "workItem { id }");
  }

  async release(token, workItemId, claim) {
    await this.run(token, "workItemRelease", { workItemId, token: claim }, "workItem { id }");
  }

  // A list of target accounts.
  async list() {
    const key = this.name("list").replace(" ", "-");
    return (await this.run(this.admin, "targetListCreate", { key, name: key }, "list { id }")).id;
  }

  // Proposes another company for a list.
  async propose(token, listId) {
    const { id } = await this.run(token, "accountCreate", { name: this.name("Acme") }, "account { id }");
    const evidence = [{ note: "Fits." }];
    const changes = [{ accountId: id, kind: "ADD", tier: "T1", reasons: ["ICP_FIT"], evidence }];
    return (await this.run(token, "changeRequestPropose", { listId, changes }, "changeRequests { id revision }"))[0];
  }

  async withdraw(token, { id: changeRequestId, revision }) {
    await this.run(token, "changeRequestWithdraw", { changeRequestId, revision }, "changeRequest { id }");
  }

  async enrollment() {
    const fields = "sequence { id }";
    this.sequence ??= (await this.run(this.admin, "sequencePublish", { source: SEQUENCE }, fields)).id;
    const input = { sequenceId: this.sequence, contactId: await this.contact() };
    return (await this.run(this.admin, "enrollmentCreate", input, "enrollment { id }")).id;
  }

  // A pool that is open day and night, with one seller.
  async pool(seller) {
    const week = WEEK.map((day) => ({ day, hours: ["00:00-24:00"] }));
    const always = { key: "always", name: "Always", timeZone: "UTC", week };
    this.calendar ??= (await this.run(this.admin, "workingCalendarSave", always, "calendar { id }")).id;
    const key = this.name("pool").replace(" ", "-");
    const members = [{ userId: seller.id, capacity: 1000 }];
    const input = { key, name: key, calendarId: this.calendar, members };
    const pool = await this.run(this.admin, "poolSave", input, "pool { id }");
    const table = { rules: [], fallbackPoolId: pool.id };
    this.routing ??= await this.run(this.admin, "routingTableSave", table, "routingTable { version }");
    return pool.id;
  }

  // A lead that an SDR has verified.
  async verified(sdr) {
    const contactId = await this.contact();
    const received = { contactId, source: "Webinar" };
    const { id: leadId } = await this.run(this.admin, "leadReceive", received, "lead { id }");
    const fields = "lead { workItems(first: 1) { nodes { id } } }";
    const { workItems } = await this.run(this.admin, "leadQualify", { leadId }, fields);
    const [workItem] = workItems.nodes;
    const token = await this.claim(sdr.token, workItem.id);
    await this.start(sdr.token, workItem.id, token);
    const { checklist } = await this.ask(sdr.token, "{ checklist { items { key } } }");
    const answers = checklist.items.map(({ key }) => ({ item: key, verdict: "CONFIRMED" }));
    const it = { workItemId: workItem.id, token };
    await this.run(sdr.token, "workItemAnswer", { ...it, answers }, "workItem { id }");
    await this.run(sdr.token, "workItemVerify", it, "workItem { id }");
    return leadId;
  }

  // Hands a verified lead to the pool of a seller.
  async dispatch(leadId, poolId) {
    return (await this.run(this.admin, "opportunityDispatch", { leadId, poolId }, "handoff { id }")).id;
  }

  async handoff(token, verb, handoffId) {
    await this.run(token, `handoff${verb}`, { handoffId }, "handoff { id }");
  }
}
