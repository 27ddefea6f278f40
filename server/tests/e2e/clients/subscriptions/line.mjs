// What a page of Apollo's or urql's holds: the usual client of graphql-transport-ws, and what it heard.
import assert from "node:assert/strict";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

// Nothing that is waited for takes this long, unless it is broken.
const PATIENCE = 20_000;

const waiting = new Set();

// Says that something was heard, or that something changed.
function tell() {
  for (const wake of waiting) wake();
}

// Waits until there is something: `look` is asked again whenever anything was heard. Says what it waited for in vain, and
// whatever was heard instead.
export async function until(look, what, instead = () => "") {
  const found = await within(look, PATIENCE);
  if (!found) throw new Error(`${what}: not within ${PATIENCE} ms ${instead()}`);
  return found;
}

// The same for what may not come; then nothing.
export async function within(look, patience) {
  let timer;
  let wake;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, patience, true)));
  try {
    for (;;) {
      const news = new Promise((resolve) => (wake = resolve));
      waiting.add(wake);
      const found = look();
      if (found) return found;
      if (await Promise.race([news, late])) return look();
      waiting.delete(wake);
    }
  } finally {
    waiting.delete(wake);
    clearTimeout(timer);
  }
}

// One operation over a line, and all that came of it.
export class Operation {
  results = [];
  ends = [];
  #taken = 0;

  constructor(line, payload) {
    this.said = payload.query;
    this.stop = line.client.subscribe(payload, {
      next: (result) => this.#note(this.results, result),
      error: (error) => this.#note(this.ends, { error: error instanceof Error ? `${error}` : error }),
      complete: () => this.#note(this.ends, "complete"),
    });
  }

  #note(list, what) {
    list.push(what);
    tell();
  }

  #heard() {
    const [last, ends] = [this.results.slice(-3), this.ends].map((list) => JSON.stringify(list));
    return `by \`${this.said}\`, which heard ${this.results.length} results, ${last} at last, and the end ${ends}`;
  }

  // The data of the next event.
  async event(what) {
    await until(() => this.results.length > this.#taken || this.ends.length > 0, what, () => this.#heard());
    assert.ok(this.results.length > this.#taken, `${what}: it ended before ${this.#heard()}`);
    const { data, errors } = this.results[this.#taken];
    this.#taken += 1;
    assert.equal(errors, undefined, `${what}: ${JSON.stringify(errors)}`);
    return Object.values(data)[0];
  }

  // What ended it: `complete`, or what it was refused by.
  async end(what) {
    await until(() => this.ends.length > 0, what, () => this.#heard());
    return this.ends[0];
  }

  // Whatever came and nobody asked for yet.
  get rest() {
    return this.results.slice(this.#taken).map(({ data }) => Object.values(data)[0]);
  }

  // Passes over everything up to an event that `last` knows, if it comes within the time.
  async passedOver(last, patience = PATIENCE) {
    const at = () => this.results.findIndex(({ data }, n) => n >= this.#taken && data && last(Object.values(data)[0]));
    if (!(await within(() => at() >= 0 || this.ends.length > 0, patience))) return false;
    assert.deepEqual(this.ends, [], `it ended: ${this.#heard()}`);
    this.#taken = at() + 1;
    return true;
  }
}

// A client, and what its sockets did.
export class Line {
  static #all = new Set();
  connecting = 0;
  opened = 0;
  connected = 0;
  closed = [];
  messages = [];
  pongs = 0;

  constructor(url, connectionParams, options = {}) {
    const counts = (name) => () => {
      this[name] += 1;
      tell();
    };
    this.client = createClient({
      url,
      webSocketImpl: WebSocket,
      connectionParams,
      // One that is not lazy says so here when it gives up; `closed` has why.
      onNonLazyError: tell,
      ...options,
      on: {
        connecting: counts("connecting"),
        opened: counts("opened"),
        connected: counts("connected"),
        closed: ({ code, reason }) => {
          this.closed.push({ code, reason });
          tell();
        },
        message: (message) => {
          this.messages.push(message);
          tell();
        },
        pong: (received) => received && counts("pongs")(),
      },
    });
    Line.#all.add(this);
  }

  // Begins an operation: one that has a name in the form that Apollo gives it, another in urql's.
  begin(query, variables = {}) {
    const operationName = query.match(/^\w+ (\w+)/)?.[1];
    const named = operationName ? { operationName, extensions: {} } : {};
    return new Operation(this, { query, variables, ...named });
  }

  // What came of a query or a mutation: one result, and the end.
  async ask(query, variables) {
    const operation = this.begin(query, variables);
    assert.equal(await operation.end("an answer"), "complete");
    assert.equal(operation.results.length, 1, JSON.stringify(operation.results));
    return operation.results[0];
  }

  async hangUp() {
    Line.#all.delete(this);
    await this.client.dispose();
  }

  // Ends every client that is left.
  static async hangUpAll() {
    for (const line of [...Line.#all]) {
      Line.#all.delete(line);
      line.client.terminate();
      // One that waits to connect again cannot be disposed of before it has; nobody waits for it.
      line.client.dispose().catch(() => {});
    }
  }
}
