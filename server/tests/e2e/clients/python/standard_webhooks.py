"""Webhooks by the library of Standard Webhooks for Python: it believes what Tandem sends, and signs what Tandem receives.
Prints {held, failures} as JSON: the laws that held, and those that did not with what was seen instead.

  python standard_webhooks.py ORIGIN TOKEN

The token is an administrator's. The server may post to this machine without TLS, and tries again after two seconds.
"""

import base64
import json
import os
import sys
import time
import traceback
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import requests
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

ORIGIN, TOKEN = sys.argv[1:]
# Nothing that is waited for takes this long, in seconds, unless it is broken.
PATIENCE = 60


def ask(query, variables=None):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.post(f"{ORIGIN}/graphql", json={"query": query, "variables": variables}, headers=headers).json()
    assert "errors" not in answer, answer
    return answer["data"]


def run(mutation, given, fields):
    """Runs a mutation and gives its payload; it must not be refused."""
    kind = f"{mutation[0].upper()}{mutation[1:]}Input!"
    query = f"mutation($input: {kind}) {{ {mutation}(input: $input) {{ {fields} userErrors {{ message code }} }} }}"
    payload = ask(query, {"input": given})[mutation]
    assert payload["userErrors"] == [], payload
    return payload


def until(what, look):
    """Asks again and again until something is so, and gives it."""
    latest = time.monotonic() + PATIENCE
    while time.monotonic() < latest:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {PATIENCE} s")


class Receiver(BaseHTTPRequestHandler):
    """A receiver as the library's documentation writes it. It answers 500 as often as it is told to."""

    received, refusals = [], 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.received.append((body, dict(self.headers.items())))
        self.send_response(500 if Receiver.refusals else 204)
        self.send_header("content-length", "0")
        self.end_headers()
        Receiver.refusals = max(0, Receiver.refusals - 1)

    def log_message(self, *_):
        pass


def told(name, messages=1):
    """Makes a company, of which an endpoint is told, and gives the messages that came of it."""
    before = len(Receiver.received)
    run("accountCreate", {"name": name}, "account { id }")
    return until("the message", lambda: len(Receiver.received) >= before + messages and Receiver.received[before:])


def header(message, name):
    return next(value for key, value in message[1].items() if key.lower() == name)


def believes(secret, message):
    return Webhook(secret).verify(*message)


def doubts(secret, message):
    try:
        believes(secret, message)
    except WebhookVerificationError:
        return
    raise AssertionError(f"{message} was believed")


def new_secret(size=32):
    return f"whsec_{base64.b64encode(os.urandom(size)).decode()}"


def post(path, secret, id, payload, at=None, tampered=None):
    """Posts what the library signed."""
    at = at or datetime.now(timezone.utc)
    signature = Webhook(secret).sign(id, at, json.dumps(payload))
    headers = {"webhook-id": id, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}
    return requests.post(ORIGIN + path, data=json.dumps(tampered or payload), headers=headers).status_code


def person(name):
    return {"email": f"{name}@customer.example", "name": f"Łucja {name} 李"}


def address(key, secret=None):
    """An address for what others send, and its secret, which Tandem makes where none is given."""
    create = {"email": f"{key}@example.com", "name": key, "roles": ["INTEGRATION"]}
    acts_as = run("userCreate", create, "user { id }")["user"]["id"]
    actions = [{"kind": "CONTACT_UPSERT", "values": {"email": "payload.email", "name": "payload.name"}}]
    webhook = {"key": key, "name": key, "scheme": "STANDARD_WEBHOOKS", "actsAs": acts_as, "actions": actions}
    saved = run("inboundWebhookSave", {"webhook": webhook, "secret": secret}, "secret webhook { id path }")
    return saved["webhook"] | {"secret": saved["secret"] or secret}


def names(*people):
    """Waits until everything that was taken is done, and gives the names of who came of it."""
    query = "{ inboundDeliveries(last: 50) { nodes { state } } }"
    look = lambda: all(one["state"] == "DONE" for one in ask(query)["inboundDeliveries"]["nodes"])
    until("what was taken is done", look)
    query = "query($email: String!) { contacts(filter: { email: $email }) { nodes { name } } }"
    found = [ask(query, {"email": one["email"]})["contacts"]["nodes"] for one in people]
    return [contact["name"] for contacts in found for contact in contacts]


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
Thread(target=server.serve_forever, daemon=True).start()
URL = f"http://127.0.0.1:{server.server_port}/hooks"
ENDPOINT = {"key": "library", "name": "Library", "url": URL, "types": ["account.created"]}
SAVED = run("outboundWebhookSave", ENDPOINT, "secret webhook { id }")
FIRST, STRANGER = SAVED["secret"], new_secret()


def what_is_sent_is_believed():
    [message] = told("Żółw & Söhne 株式会社")
    believed = believes(FIRST, message)
    assert believed["type"] == "account.created" and isinstance(believed["data"]["seq"], int), believed


def what_was_tampered_with_or_comes_from_elsewhere_is_not_believed():
    [message] = told("Acme")
    body, headers = message
    believes(FIRST, message)
    doubts(STRANGER, message)
    doubts(FIRST, (body.replace(b"account.created", b"account.changed"), headers))
    timestamp = str(int(header(message, "webhook-timestamp")) + 1)
    for changed in ({"webhook-id": "msg_other"}, {"webhook-timestamp": timestamp}):
        doubts(FIRST, (body, {name.lower(): value for name, value in headers.items()} | changed))


def what_is_sent_again_has_its_id_and_a_signature_of_its_own_time():
    Receiver.refusals = 1
    one, two = told("Again", 2)
    assert believes(FIRST, one) == believes(FIRST, two)
    assert header(one, "webhook-id") == header(two, "webhook-id")
    assert header(one, "webhook-timestamp") != header(two, "webhook-timestamp")


def after_a_rotation_either_secret_believes():
    rotated = run("outboundWebhookRotateSecret", {"webhookId": SAVED["webhook"]["id"]}, "secret")["secret"]
    assert rotated != FIRST
    [message] = told("Rotated")
    assert len(header(message, "webhook-signature").split(" ")) == 2, message
    for secret in (FIRST, rotated):
        assert believes(secret, message)["type"] == "account.created"
    doubts(STRANGER, message)


def what_the_library_signs_is_taken_once_and_nothing_else():
    there, ann = address("signed"), person("ann")
    path, secret = there["path"], there["secret"]
    assert post(path, secret, "msg_1", ann) == 202
    assert post(path, secret, "msg_1", ann) == 200
    assert post(path, STRANGER, "msg_2", ann) == 401
    assert post(path, secret, "msg_3", ann, tampered=person("eve")) == 401
    for minutes in (-6, 6):
        at = datetime.now(timezone.utc) + timedelta(minutes=minutes)
        assert post(path, secret, "msg_4", ann, at=at) == 401
    assert names(ann, person("eve")) == [ann["name"]]


def a_secret_that_the_sender_chose_is_the_one_that_is_checked():
    own, ben = new_secret(24), person("ben")
    path = address("chosen", own)["path"]
    assert post(path, own, "msg_1", ben) == 202
    assert post(path, STRANGER, "msg_2", ben) == 401
    assert names(ben) == [ben["name"]]


def while_two_secrets_are_valid_either_signs():
    there, cleo, dan = address("rotated"), person("cleo"), person("dan")
    rotated = run("inboundWebhookRotateSecret", {"webhookId": there["id"], "overlapHours": 1}, "secret")["secret"]
    assert post(there["path"], there["secret"], "msg_1", cleo) == 202
    assert post(there["path"], rotated, "msg_2", dan) == 202
    assert post(there["path"], STRANGER, "msg_3", dan) == 401
    assert names(cleo, dan) == [cleo["name"], dan["name"]]


LAWS = (
    what_is_sent_is_believed,
    what_was_tampered_with_or_comes_from_elsewhere_is_not_believed,
    what_is_sent_again_has_its_id_and_a_signature_of_its_own_time,
    after_a_rotation_either_secret_believes,
    what_the_library_signs_is_taken_once_and_nothing_else,
    a_secret_that_the_sender_chose_is_the_one_that_is_checked,
    while_two_secrets_are_valid_either_signs,
)
held, failures = [], []
for law in LAWS:
    try:
        law()
        held.append(law.__name__)
    except Exception:
        failures.append({"law": law.__name__, "seen": traceback.format_exc().splitlines()})
print(json.dumps({"held": held, "failures": failures}))
