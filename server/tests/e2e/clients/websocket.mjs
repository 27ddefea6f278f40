// The usual client of graphql-transport-ws: a query and one that does not fit the schema over one socket,
// and what it is told when it may not come in.
// Prints what it saw as JSON.
//
//   node websocket.mjs URL TOKEN
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [url, token] = process.argv.slice(2);

function once(client, query) {
  return new Promise((resolve, reject) => {
    const results = [];
    client.subscribe({ query }, {
      next: ({ data, errors }) => results.push({ data, errors }),
      error: reject,
      complete: () => resolve(results),
    });
  });
}

function connect(connectionParams) {
  return createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0, connectionParams });
}

const client = connect({ authorization: `Bearer ${token}` });
const [viewer, refused] = await Promise.all([
  once(client, "{ viewer { email } }"),
  once(client, "{ nothing }").catch((errors) => errors),
]);
await client.dispose();

const stranger = connect({ authorization: "Bearer tdm_nobody" });
const closed = await once(stranger, "{ viewer { email } }").then(() => null, (event) => event.code);
console.log(JSON.stringify({ viewer, refused: refused[0].extensions.code, closed }));
