// Where a schema departs from the rules that ours keeps: of descriptions, names, paging, mutations and scalars.
// Prints a list of { rule, place, message } as JSON, by place; fails where the schema itself is not valid.
//
//   node lint.mjs SCHEMA
import {
  assertValidSchema,
  buildSchema,
  DEFAULT_DEPRECATION_REASON,
  getNamedType,
  isAbstractType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isListType,
  isNonNullType,
  isObjectType,
  isScalarType,
  isSpecifiedDirective,
  isSpecifiedScalarType,
} from "graphql";
import { readFileSync } from "node:fs";

// Lists of entities that are no connections, each with the reason why it cannot grow.
const boundedLists = new Map([
  ["ReceivedEmail.enrollments", "those that one e-mail ended: of the person, and of a colleague who answered"],
  ["Opportunity.handoffs", "one for each re-route, which a manager decides"],
  ["Query.suppressionsOf", "one of the address, and one of each domain that its own lies in"],
]);
// Types whose names are all capitals, which otherwise only enum values have.
const initialisms = ["JSON", "URL"];
// Verbs that make something, or let something out: what is done twice is there twice.
const makes = ["Add", "Create", "Define", "Dispatch", "Draft", "Enroll", "Import", "Issue", "Propose", "Publish"]
  .concat(["Receive", "Redrive", "Replay", "Rotate", "Save", "Send", "Upsert"]);
// Verbs that a mutation does not begin with.
const verbs = ["add", "change", "create", "define", "delete", "dispatch", "enroll", "make", "propose", "publish"]
  .concat(["receive", "remove", "save", "send", "set", "update", "upsert"]);
const money = ["amount", "balance", "budget", "cost", "discount", "fee", "money", "price", "revenue", "salary"]
  .concat(["value", "worth"]);

const schema = buildSchema(readFileSync(process.argv[2], "utf8"));
assertValidSchema(schema);
// What the language itself brings along is described and named by its specification.
const types = Object.values(schema.getTypeMap())
  .filter((type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type));
const directives = schema.getDirectives().filter((directive) => !isSpecifiedDirective(directive));
const objects = types.filter(isObjectType);
const mutations = fieldsOf(schema.getMutationType());
const payloads = new Set(mutations.map((field) => getNamedType(field.type)));
const things = [...allThings()];
const faults = [];

function fault(rule, place, message) {
  faults.push({ rule, place, message });
}

function fieldsOf(type) {
  return Object.values(type?.getFields?.() ?? {});
}

// Everything that has a name: its kind, its place, what it is, and the type it is a member of.
function* allThings() {
  for (const type of types) {
    yield { kind: "type", place: type.name, of: type };
    for (const value of isEnumType(type) ? type.getValues() : []) {
      yield { kind: "enum value", place: `${type.name}.${value.name}`, of: value, parent: type };
    }
    for (const field of fieldsOf(type)) {
      const place = `${type.name}.${field.name}`;
      yield { kind: isInputObjectType(type) ? "input field" : "field", place, of: field, parent: type };
      yield* argumentsOf(field, place, type);
    }
  }
  for (const directive of directives) {
    yield { kind: "directive", place: `@${directive.name}`, of: directive };
    yield* argumentsOf(directive, `@${directive.name}`);
  }
}

function* argumentsOf(of, place, parent) {
  for (const argument of of.args ?? []) {
    yield { kind: "argument", place: `${place}(${argument.name})`, of: argument, parent };
  }
}

// The arguments and the type of a field, as the schema writes them.
function signature(field) {
  const given = (field.args ?? []).map((argument) => `${argument.name}: ${argument.type}`).join(", ");
  return given === "" ? String(field.type) : `(${given}): ${field.type}`;
}

function must(rule, type, name, wanted) {
  const field = fieldsOf(type).find((field) => field.name === name);
  if (field && signature(field) === wanted) return;
  fault(rule, `${type.name}.${name}`, field ? `is ${signature(field)}, not ${wanted}` : `is missing: ${wanted}`);
}

function words(name) {
  return name.match(/[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])/g) ?? [];
}

function pascal(name) {
  return name[0].toUpperCase() + name.slice(1);
}

function holdsList(type) {
  return isListType(type) || (isNonNullType(type) && holdsList(type.ofType));
}

function isNode(type) {
  if (isAbstractType(type)) return schema.getPossibleTypes(type).some(isNode);
  return isObjectType(type) && type.getInterfaces().some((face) => face.name === "Node");
}

function isConnection(type) {
  return isObjectType(type) && type.name.endsWith("Connection");
}

function described() {
  const letters = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
  for (const { kind, place, of } of things) {
    // The one argument of a mutation is described by its type, which is for this mutation alone.
    if (/^Mutation\.\w+\(input\)$/.test(place)) continue;
    const text = (of.description ?? "").trim();
    if (text === "") fault("described", place, `this ${kind} has no description`);
    else if (!/^[\p{Lu}\p{Nd}`]/u.test(text)) fault("described", place, "begins with no capital, digit or code");
    else if (letters(text) === letters(of.name)) fault("described", place, "only repeats the name");
  }
}

function naming() {
  const camel = /^[a-z][A-Za-z0-9]*$/;
  const forms = {
    type: [/^[A-Z](?=.*[a-z])[A-Za-z0-9]*$/, "PascalCase"],
    field: [camel, "camelCase"],
    argument: [camel, "camelCase"],
    "input field": [camel, "camelCase"],
    directive: [camel, "camelCase"],
    "enum value": [/^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/, "SCREAMING_SNAKE_CASE"],
  };
  for (const { kind, place, of } of things) {
    const [form, called] = forms[kind];
    if (kind === "type" && initialisms.includes(of.name)) continue;
    if (!form.test(of.name)) fault("naming", place, `is not in ${called}`);
  }
  for (const type of types) {
    if (isInputObjectType(type) && !type.name.endsWith("Input")) fault("naming", type.name, "does not end with Input");
    if (payloads.has(type) && !type.name.endsWith("Payload")) fault("naming", type.name, "does not end with Payload");
    const versioned = /V\d+(Connection|Edge|Input|Payload)?$/.test(type.name);
    if (versioned) fault("naming", type.name, "has a version in its name");
  }
}

function relay() {
  const node = schema.getType("Node");
  if (isInterfaceType(node)) must("relay", node, "id", "ID!");
  else fault("relay", "Node", "is no interface");
  must("relay", schema.getQueryType(), "node", "(id: ID!): Node");
  must("relay", schema.getQueryType(), "nodes", "(ids: [ID!]!): [Node]!");
  for (const type of objects) {
    const fields = type.getFields();
    // What others call a thing by is a String; an ID is global, so `node` must find it.
    if (fields.id && signature(fields.id) === "ID!" && !isNode(type)) {
      fault("relay", type.name, "has a global id and does not implement Node");
    }
    if (isConnection(type)) connection(type);
    else if (fieldsOf(type).some((field) => getNamedType(field.type).name === "PageInfo")) {
      fault("relay", type.name, "has a PageInfo and is not called a Connection");
    }
  }
  for (const { place, of } of things.filter(({ kind }) => kind === "field")) {
    if (isConnection(getNamedType(of.type))) pages(place, of);
  }
  const page = schema.getType("PageInfo");
  if (!page) return;
  must("relay", page, "hasNextPage", "Boolean!");
  must("relay", page, "hasPreviousPage", "Boolean!");
  must("relay", page, "startCursor", "String");
  must("relay", page, "endCursor", "String");
}

function connection(type) {
  const { edges, nodes } = type.getFields();
  must("relay", type, "pageInfo", "PageInfo!");
  if (!nodes || !holdsList(nodes.type)) fault("relay", `${type.name}.nodes`, "is no list of nodes");
  const edge = edges && holdsList(edges.type) ? getNamedType(edges.type) : undefined;
  if (!isObjectType(edge) || !edge.name.endsWith("Edge")) {
    fault("relay", `${type.name}.edges`, "is no list of edges");
    return;
  }
  must("relay", edge, "cursor", "String!");
  const { node } = edge.getFields();
  if (!node) fault("relay", `${edge.name}.node`, "is missing");
  else if (nodes && getNamedType(node.type) !== getNamedType(nodes.type)) {
    fault("relay", `${edge.name}.node`, `is ${node.type}, and the nodes of ${type.name} are ${nodes.type}`);
  }
}

function pages(place, field) {
  for (const [name, wanted] of Object.entries({ first: "Int", after: "String", last: "Int", before: "String" })) {
    const given = field.args.find((argument) => argument.name === name);
    if (String(given?.type) === wanted) continue;
    fault("relay", `${place}(${name})`, given ? `is ${given.type}, not ${wanted}` : `is missing: ${wanted}`);
  }
}

function lists() {
  const unused = new Set(boundedLists.keys());
  for (const { kind, place, of, parent } of things) {
    if (kind !== "field" || !holdsList(of.type) || !isNode(getNamedType(of.type))) continue;
    if (unused.delete(place) || payloads.has(parent) || place === "Query.nodes") continue;
    if (isConnection(parent) && of.name === "nodes") continue;
    fault("lists", place, `is a plain list of ${getNamedType(of.type)}, not a connection`);
  }
  for (const place of unused) fault("lists", place, "is allowed as a plain list and is none");
}

function mutating() {
  for (const field of mutations) {
    const place = `Mutation.${field.name}`;
    const wanted = `(input: ${pascal(field.name)}Input!): ${pascal(field.name)}Payload!`;
    const [noun, ...verb] = words(field.name);
    // A change request is a thing, though its name begins with a verb.
    const thing = objects.some((type) => isNode(type) && pascal(field.name).startsWith(type.name));
    if (verb.length === 0 || (verbs.includes(noun) && !thing)) fault("mutations", place, "is not a noun, then a verb");
    else if (signature(field) !== wanted) fault("mutations", place, `is ${signature(field)}, not ${wanted}`);
    const input = getNamedType(field.args.find((argument) => argument.name === "input")?.type);
    const keyed = fieldsOf(input).some((field) => field.name === "idempotencyKey");
    if (input && (keyed || verb.some((word) => makes.includes(word)))) {
      must("mutations", input, "idempotencyKey", "String");
    }
  }
  for (const payload of [...payloads].filter(isObjectType)) {
    must("mutations", payload, "userErrors", "[UserError!]!");
    for (const field of fieldsOf(payload)) {
      if (field.name === "userErrors" || !isNonNullType(field.type)) continue;
      fault("mutations", `${payload.name}.${field.name}`, `is ${field.type}: nothing but userErrors is always there`);
    }
  }
  const error = schema.getType("UserError");
  if (!error) return;
  must("mutations", error, "field", "[String!]");
  must("mutations", error, "message", "String!");
  must("mutations", error, "code", "UserErrorCode!");
}

function scalars() {
  for (const type of types.filter(isScalarType)) {
    if (!type.specifiedByURL) fault("scalars", type.name, "has no @specifiedBy");
  }
  for (const { place, of, parent } of things.filter(({ of }) => of.type)) {
    const { name } = getNamedType(of.type);
    if (name === "Float" && isMoney(of, parent)) fault("scalars", place, "is money, and a Float");
    if (/(^at|At)$/.test(of.name) && name !== "DateTime") fault("scalars", place, `is ${of.type}, not DateTime`);
    if (/(^on|On)$/.test(of.name) && name !== "Date") fault("scalars", place, `is ${of.type}, not Date`);
  }
}

function isMoney(of, parent) {
  // The p-value of a test is a probability.
  if (/(^p|P)Value$/.test(of.name)) return false;
  const said = words(of.name).some((word) => money.includes(word.toLowerCase()));
  return said || fieldsOf(parent).some((field) => field.name === "currency");
}

function deprecated() {
  for (const { place, of } of things) {
    // By the directive: where its reason is null, the reference implementation takes it for absent.
    if (!of.astNode?.directives?.some((directive) => directive.name.value === "deprecated")) continue;
    const reason = (of.deprecationReason ?? "").trim();
    if (reason === "" || reason === DEFAULT_DEPRECATION_REASON) fault("deprecated", place, "has no reason of its own");
  }
}

function subscriptions() {
  for (const field of fieldsOf(schema.getSubscriptionType())) {
    if (!isNonNullType(field.type)) fault("subscriptions", `Subscription.${field.name}`, `is ${field.type}: nullable`);
  }
}

for (const rule of [described, naming, relay, lists, mutating, scalars, deprecated, subscriptions]) rule();
const key = (fault) => `${fault.place}\n${fault.rule}\n${fault.message}`;
console.log(JSON.stringify(faults.sort((one, other) => (key(one) < key(other) ? -1 : 1))));
