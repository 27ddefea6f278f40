"""The run: makes the rows, sends the cases, and holds every answer against what it must look like."""

import json
import re
import time
from collections import Counter, defaultdict
from random import Random

import graphql
import hypothesis
import requests
import schemathesis
from cases import Enliven, literal, scalars
from hypothesis import HealthCheck, Phase
from rows import DELIVERED, EVENTS, ROWS
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.graphql.checks import GraphQLServerError
from seen import Seen
from shape import Shape, Wrong, errors_of, faults, know_scalars, no_twin

# The longest an answer may take, in seconds.
PATIENCE = 10
# The codes that an error may have.
CODES = set(
    "UNAUTHENTICATED FORBIDDEN BAD_USER_INPUT GRAPHQL_PARSE_FAILED GRAPHQL_VALIDATION_FAILED QUERY_TOO_COMPLEX"
    " RATE_LIMITED PERSISTED_QUERY_NOT_FOUND TIMEOUT INTERNAL".split()
)
# Refusals that schemathesis takes for faults of the server.
REFUSALS = {"FORBIDDEN", "QUERY_TOO_COMPLEX", "BAD_USER_INPUT"}
JSON, GRAPHQL = "application/json", "application/graphql-response+json"
ACCEPTS = {None: JSON, "*/*": JSON, JSON: JSON, GRAPHQL: GRAPHQL, f"{JSON};q=0.5, {GRAPHQL}": GRAPHQL}


class Fuzz:
    def __init__(self, url, tokens, cases, others, seed):
        self.url, self.tokens, self.seed = url, tokens, seed
        self.cases, self.others = cases + others, others
        self.session = requests.Session()
        self.loaded = schemathesis.graphql.from_url(url, headers={"Authorization": f"Bearer {tokens[0]}"})
        self.schema = self.loaded.client_schema
        know_scalars(self.schema)
        self.seen = Seen()
        self.done, self.slowest, self.failures = 0, (0, ""), {}
        # Of whose token the case is that is under way, and what became of the cases of each.
        self.whose, self.sent, self.outcomes = "administrator", Counter(), defaultdict(Counter)
        self.codes, self.reached, self.succeeded = Counter(), Counter(), Counter()

    def run(self):
        began = time.monotonic()
        scalars()
        # What this run itself stands on is left alone.
        for token in self.tokens:
            viewer = self.send("{ viewer { id email } }", {}, token).json()["data"]["viewer"]
            self.seen.kept_out |= {viewer["id"], viewer["email"]}
        for token in self.ask("{ accessTokens(last: 100) { nodes { __typename id } } }")["accessTokens"]["nodes"]:
            self.seen.kept_out.add(token["id"])
        self.seen.ids.clear()
        self.sow()
        operations = sorted((found.ok() for found in self.loaded.get_all_operations()), key=lambda one: one.label)
        turns = max(1, min(8, self.cases // len(operations)))
        for turn in range(turns):
            self.reap()
            Random(f"{self.seed} {turn}").shuffle(operations)
            for at, operation in enumerate(operations):
                # What is left to do is shared out evenly over what is left.
                left = (turns - turn) * len(operations) - at
                self.operation(operation, turn, -(-(self.cases - self.done) // left))
        labels = {one.label for one in operations}
        return {
            "cases": self.sent,
            "seconds": round(time.monotonic() - began),
            "outcomes": {whose: dict(found.most_common()) for whose, found in self.outcomes.items()},
            "userErrors": dict(self.codes.most_common()),
            "neverReached": sorted(labels - set(self.reached)),
            "neverDone": sorted(labels - set(self.succeeded)),
            "slowest": self.slowest,
            "failures": sorted(self.failures.values(), key=lambda one: -one["count"]),
        }

    def operation(self, operation, turn, share):
        wanted = self.done + share
        mode = GenerationMode.NEGATIVE if turn == 7 else GenerationMode.POSITIVE
        quiet = {"database": None, "deadline": None, "suppress_health_check": list(HealthCheck)}

        # Drawing may end before the share is reached, and may go on after it.
        def one(case):
            if self.done < wanted:
                self.case(case, Random(f"{self.seed} {operation.label} {turn} {wanted - self.done}"))

        for again in range(share):
            if self.done < wanted:
                test = hypothesis.given(case=operation.as_strategy(generation_mode=mode))(one)
                limits = hypothesis.settings(max_examples=wanted - self.done, phases=[Phase.generate], **quiet)
                hypothesis.seed(f"{self.seed} {operation.label} {turn} {again}")(limits(test))()

    def token(self, random):
        """Whose token the next case has: those of others lie evenly between the administrator's."""
        to_others = [at * self.others // self.cases for at in (self.done, self.done + 1)]
        self.whose = "administrator" if to_others[0] == to_others[1] else "others"
        self.sent[self.whose] += 1
        return self.tokens[0] if self.whose == "administrator" else random.choice(self.tokens[1:])

    def case(self, case, random):
        token = self.token(random)
        self.done += 1
        label, positive = case.operation.label, case.meta.generation.mode.is_positive
        query, variables = case.body, {}
        if positive and random.random() < 0.86:
            query, variables = Enliven(self.schema, self.seen, random).document(graphql.parse(case.body))
        accept = random.choice(list(ACCEPTS))
        by_get = not query.startswith("mutation") and len(query) < 2_000 > len(json.dumps(variables))
        try:
            response = self.send(query, variables, token, accept, by_get and random.random() < 0.2)
        except requests.RequestException as error:
            self.outcomes[self.whose]["no answer"] += 1
            return self.fail("no answer", label, query, variables, None, type(error).__name__)
        self.slowest = max(self.slowest, (round(response.elapsed.total_seconds(), 2), label))
        self.hold(query, variables, response, ACCEPTS[accept], label)
        case.body = query
        try:
            case.validate_response(schemathesis.Response.from_requests(response, True), checks=[not_a_server_error])
        except FailureGroup as group:
            codes = {error.get("extensions", {}).get("code") for error in errors_of(response)}
            for failure in group.exceptions:
                if not isinstance(failure, GraphQLServerError) or not codes <= REFUSALS:
                    self.fail(f"schemathesis: {failure.title}", label, query, variables, response, failure.message)

    # What is asked of the server.

    def send(self, query, variables, token, accept=None, by_get=False):
        headers = {"Authorization": f"Bearer {token}", "Accept": accept}
        body = {"query": query} | ({"variables": variables} if variables else {})
        while True:
            if by_get:
                params = {name: one if isinstance(one, str) else json.dumps(one) for name, one in body.items()}
                response = self.session.get(self.url, params=params, headers=headers, timeout=PATIENCE)
            else:
                response = self.session.post(self.url, json=body, headers=headers, timeout=PATIENCE)
            if response.status_code != 429:
                return response
            time.sleep(int(response.headers["Retry-After"]))

    def ask(self, query, variables=None):
        """Asks for something beside the cases, which is held against the schema all the same."""
        try:
            response = self.send(query, variables or {}, self.tokens[0])
        except requests.RequestException as error:
            self.fail("no answer", "beside", query, variables, None, type(error).__name__)
            return {}
        self.hold(query, variables or {}, response, JSON, "beside")
        if errors_of(response):
            self.fail("what this script itself asks is refused", "beside", query, variables, response, "")
            return {}
        return response.json().get("data") or {}

    def sample(self, kind, deep=2):
        """A selection of what a type has directly, and of what hangs on it without being a thing of its own."""
        shown = []
        for name, one in kind.fields.items():
            inner = graphql.get_named_type(one.type)
            if any(graphql.is_required_argument(argument) for argument in one.args.values()):
                continue
            if graphql.is_leaf_type(inner):
                # The body of a delivery may be a mebibyte.
                shown += [name] if name != "body" else []
            elif deep and not one.args and not graphql.is_abstract_type(inner):
                shown.append(f"{name} {{ {'id' if 'id' in inner.fields else self.sample(inner, deep - 1)} }}")
        return " ".join(shown) or "__typename"

    def sow(self):
        """Makes the rows, and sends what other systems send."""
        for name, row in ROWS:
            text = re.sub(r'"\$(\w+)\.?(\w*)"', self.last, json.dumps(row))
            one = self.schema.mutation_type.fields[name]
            selection = self.sample(graphql.get_named_type(one.type), 3)
            query = f"mutation($input: {one.args['input'].type}) {{ {name}(input: $input) {{ {selection} }} }}"
            payload = self.ask(query, {"input": json.loads(text)}).get(name) or {}
            if payload.get("writeKey"):
                self.deliver("/v1/batch", {"batch": EVENTS}, auth=(payload["writeKey"], ""))
            if name == "inboundWebhookSave" and payload.get("secret"):
                bearer = {"Authorization": f"Bearer {payload['secret']}"}
                self.deliver(f"/webhooks/{row['webhook']['key']}", DELIVERED, headers=bearer)
            for entity in payload.values():
                if isinstance(entity, dict) and "id" in entity:
                    self.look(entity["id"])

    def deliver(self, path, body, **who):
        """Posts as another system does."""
        response = self.session.post(self.url.removesuffix("/graphql") + path, json=body, timeout=PATIENCE, **who)
        if not response.ok:
            self.fail("a delivery is refused", "beside", path, body, response, "")

    def last(self, found):
        kind, name = found.groups()
        id = (self.seen.ids[kind] or ["x"])[-1]
        return json.dumps(self.seen.records[id].get(name, 0) if name else id)

    def look(self, id):
        kind = self.ask(f"{{ node(id: {literal(id)}) {{ __typename }} }}")["node"]["__typename"]
        selection = self.sample(self.schema.get_type(kind))
        self.ask(f"{{ node(id: {literal(id)}) {{ __typename ... on {kind} {{ {selection} }} }} }}")
        self.seen.ids[kind] = [one for one in self.seen.ids[kind] if one != id] + [id]

    def reap(self):
        """Reads the beginning and the end of every list."""
        for name, one in self.schema.query_type.fields.items():
            kind = graphql.get_named_type(one.type)
            if kind.name.endswith("Connection"):
                selection = self.sample(graphql.get_named_type(kind.fields["nodes"].type))
                selection = f"edges {{ cursor }} nodes {{ {selection} }} pageInfo {{ endCursor }}"
                needed = [f"{name}: {{}}" for name, one in one.args.items() if graphql.is_required_argument(one)]
                for page in ("first: 20", "last: 20"):
                    self.ask(f"{{ {name}({', '.join([page, *needed])}) {{ {selection} }} }}")

    # What an answer is held against.

    def hold(self, query, variables, response, media, label):
        try:
            self.judge(query, variables, response, media, label)
        except Wrong as wrong:
            self.fail(wrong.kind, label, query, variables, response, str(wrong))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            self.fail("the answer is of no known form", label, query, variables, response, repr(error))

    def judge(self, query, variables, response, media, label):
        try:
            answer = json.loads(response.content, object_pairs_hook=no_twin)
        except ValueError:
            raise Wrong("the answer is not JSON") from None
        errors, executed = answer.get("errors", []), "data" in answer
        if label != "beside":
            self.outcomes[self.whose].update([error.get("extensions", {}).get("code") for error in errors[:1]])
        if response.status_code >= 500:
            raise Wrong(f"the status is {response.status_code}")
        if response.status_code != (200 if executed or media == JSON else 400):
            raise Wrong(f"the status is {response.status_code} as {media}, {'with' if executed else 'without'} data")
        wanted = {"Content-Type": f"{media}; charset=utf-8", "Cache-Control": "no-store"}
        for name, text in (wanted | {"Vary": "Accept, Authorization"}).items():
            if response.headers.get(name) != text:
                raise Wrong(f"{name} is {response.headers.get(name)!r} and not {text!r}")
        if "errors" in answer and not errors or not errors and not executed:
            raise Wrong("the answer has an empty `errors`, or neither `data` nor `errors`")
        self.errors(errors, executed)
        found = faults(self.schema, query, variables)
        if executed and found:
            kind = re.sub(r"'[^']*'|\".*|[.:] .*|at \..*", "…", found[0])
            raise Wrong(f"an invalid request is executed: {found[0]}", f"an invalid request is executed: {kind}")
        if not executed:
            # What the schema's language cannot say: a count begins at zero, and some JSON is an object.
            narrower = any(words in errors[0]["message"] for words in ("a whole number from 0", "a JSON object"))
            if not found and not narrower and errors[0]["extensions"]["code"] != "QUERY_TOO_COMPLEX":
                raise Wrong(f"a valid request is refused: {errors[0]['message']}")
            return
        if not isinstance(answer["extensions"]["cost"], int):
            raise Wrong("what was executed has no cost")
        shape = Shape(self.schema, graphql.parse(query), variables, self.seen)
        if answer["data"] is not None:
            shape.check(answer["data"])
        elif not errors:
            raise Wrong("`data` is null without an error")
        for error in errors:
            self.path(error, answer["data"])
        if label != "beside":
            self.reached[label] += 1
            if not errors:
                self.outcomes[self.whose]["userErrors" if shape.user_errors else "done"] += 1
                self.succeeded.update([label] if not shape.user_errors else [])
                self.codes.update(shape.user_errors)

    def errors(self, errors, executed):
        if len(errors) > 20:
            raise Wrong(f"{len(errors)} errors")
        for error in errors:
            message, code = error["message"], error["extensions"]["code"]
            reason = error["extensions"].get("reason", "SOME")
            if not re.fullmatch("[A-Z_]+", reason):
                raise Wrong(f"an error has the reason {reason!r}")
            if not isinstance(message, str) or not 0 < len(message) <= 300:
                raise Wrong("the message of an error is empty, or has more than 300 characters")
            if code not in CODES or code == "INTERNAL":
                raise Wrong(f"an error has the code {code}")
            if not all(at["line"] > 0 and at["column"] > 0 for at in error.get("locations", [])):
                raise Wrong("an error has a location of 0")
            if ("path" in error) != executed:
                raise Wrong("an error of what was executed has no path, or one of what was not has one")

    def path(self, error, data):
        """Where an error points to there is a null, or nothing, since something around it is null."""
        # What a type of the schema takes and its field does not, is for `userErrors`; this is the library speaking.
        if found := re.match(r'Failed to parse "\w+"|Expected input type', error["message"]):
            kind = f"what the schema allows is refused while it is executed: {found[0]}"
            raise Wrong(f"what the schema allows is refused while it is executed: {error['message']}", kind)
        for step in error["path"]:
            if data is None:
                return
            data = data[step]
        if data is not None:
            raise Wrong("the path of an error leads to a value")

    def fail(self, kind, label, query, variables, response, detail):
        found = self.failures.setdefault(kind, {"kind": kind, "count": 0, "operations": [], "size": float("inf")})
        found["count"] += 1
        if label not in found["operations"]:
            found["operations"].append(label)
        size = len(query) + len(json.dumps(variables))
        # The smallest case is the best to look at.
        if size < found["size"]:
            found |= {"size": size, "detail": detail[:500], "query": query, "variables": variables}
            if response is not None:
                found |= {"status": response.status_code, "requestId": response.headers.get("x-request-id")}
                found |= {"answer": response.content.decode("utf-8", "replace")[:2_000]}
