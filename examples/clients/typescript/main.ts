// A client of Millrace in TypeScript. Its types in api.d.ts are generated from openapi.json.
//
//   npm start -- COMMANDS-URL QUERIES-URL

import createClient from "openapi-fetch";
import { EventSourceParserStream } from "eventsource-parser/stream";

import type { components, paths } from "./api.js";

const [commandsURL, queriesURL] = process.argv.slice(2);
const commands = createClient<paths>({ baseUrl: commandsURL });
const queries = createClient<paths>({ baseUrl: queriesURL });

// The position of any answer is a place in the log: changes behind this place are new.
const before = await queries.GET("/users");
const position = before.response.headers.get("Position") ?? undefined;

// Create Alice, and wait for the outcome.
const create: components["schemas"]["Command"] = { type: "createUser", payload: { id: 2, name: "Alice" } };
const send = () => commands.POST("/commands", { body: create, params: { header: { Prefer: "wait=10" } } });
const created = await send();
if (!created.data || typeof created.data === "string" || created.data.status !== "succeeded") {
  throw new Error(`createUser: ${created.response.status} ${JSON.stringify(created.error)}`);
}
const { stream, version, position: written } = created.data;
console.log(`created ${stream}, version ${version}`);

// Read her after this write.
const read = await queries.GET("/users/{id}", {
  params: { path: { id: 2 }, header: { "Read-After": written } },
});
if (!read.data) {
  throw new Error(`GET /users/2: ${read.response.status} ${JSON.stringify(read.error)}`);
}
console.log(`read ${read.data.name}, version ${read.data.version}`);

// A rule says no: there is an Alice already.
const again = await send();
if (!again.error || again.error.status !== 409) {
  throw new Error(`createUser again: ${again.response.status}`);
}
console.log(`refused: ${again.error.detail}`);

// Follow the changes since the place above, up to the creation of Alice.
const changes = await queries.GET("/changes", {
  params: { header: { "Last-Event-ID": position } },
  parseAs: "stream",
});
if (!changes.data) {
  throw new Error(`GET /changes: ${changes.response.status}`);
}
const events = changes.data.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
for await (const event of events) {
  const change: components["schemas"]["Change"] = JSON.parse(event.data);
  if (change.type === "userCreated" && change.stream === stream) {
    console.log(`change ${change.type} of ${change.stream}: ${change.data.name}`);
    break;
  }
}
