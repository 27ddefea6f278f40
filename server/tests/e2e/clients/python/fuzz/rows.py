"""What cases are made of, and what is there before them."""

from random import Random

SEQUENCE = """key: fuzz
name: Fuzz
subject: contact
steps:
  - {id: begin, %s}
  - {id: call, kind: create_task, title: "%s", due_in: 2d}
  - {id: done, kind: end, outcome: completed}
"""
STEPS = [
    "kind: wait, duration: 1d",
    "kind: wait, duration: 730d",
    "kind: wait, until: {weekdays: [tue], time: '09:30'}",
    "kind: branch, when: 'contact.tags.all(now, contact.tags.all(lead, now != lead))', then: call, else: done",
    "kind: branch, when: 'contact.title.matches(contact.name)', then: call, else: done",
]
TITLES = [
    "Call {{ contact.name }}",
    "{{ contact.name | upper | join(contact.name) }}",
    "{% for a in contact.name %}{% for b in contact.name %}{{ a }}{% endfor %}{% endfor %}",
    "{{ 2 in [1] * 30000000 }}",
]
SEQUENCES = [SEQUENCE % (STEPS[at % len(STEPS)], TITLES[at % len(TITLES)]) for at in range(10)]
CONDITIONS = [
    "true", "payload.email != ''", "data.seq > 0", "1 / 0 == 0", "[1].all(x, x > 0)", "payload.l.map(headers, 1) == []",
    "[1, 2].all(a, [1, 2].all(b, [1, 2].all(c, a != b)))", "'a'.matches('(a+)+$')", "a.",
]  # fmt: skip
# What fields and arguments of these names take, since a text made at random is refused by most.
GOOD = {
    "source": SEQUENCES, "when": CONDITIONS, "filter": CONDITIONS,
    "timeZone": ["Europe/Berlin", "Pacific/Apia", "UTC"], "country": ["DE", "US", "CN"],
    "defaultRegion": ["DE", "US"], "grade": ["A1", "D4"], "currency": ["EUR", "JPY"], "tier": ["T1"],
    "hours": ["09:00-12:00", "13:00-24:00"], "locale": ["de-DE"], "code": ["T1", "x_1"], "tags": ["a", "b"],
    "key": ["fuzz", "fuzz_2", "fuzz-2"], "domains": ["acme.example", "b.example"], "phone": ["+49 30 901820"],
    "email": ["ann@acme.example", "new@b.example"], "name": ["Ann", "Fuzz"], "system": ["crm"], "add": ["a"],
    "remove": ["a"], "types": ["*", "handoff.*", "account.created"], "url": ["https://receiver.example/fuzz"],
    "event": ["Signed up", "Order Placed"],
}  # fmt: skip
# Long, and no compression makes it fit into an index.
WIDE = "".join(chr(Random(at).randrange(0x4E00, 0x9FA5)) for at in range(1_200))
TEXTS = [
    "", " ", "a", "acme", "Acme Ltd", "acme.example", "ann@acme.example", "https://acme.example/a?b=c#d",
    "+49 30 901820", "Europe/Berlin", "UTC", "EUR", "JPY", "DE", "de-DE", "T1", "A1", "1.00", "09:00-12:00",
    "22:00-06:00", "24:00-24:00", "payload.email", "true", "1 / 0 == 0", "lead.priority > 50", "[1].all(x, x > 0)",
    "{{ contact.name }}", "{{ 7 * 7 }}", "'; DROP TABLE leads; --", "%", "_", "\\", '"', "*", "a\nb",
    "a\r\nBcc: b@acme.example", "\t", "\u202etxt", "e\u0301", "\U0001f600", "\ufeff", "\x7f", "x" * 201, "x" * 5_000,
    "-1", "9223372036854775808", "1e309", "NaN", "null", "key: a\nsteps: []", "a: &a [*a, *a]",
]  # fmt: skip
MOMENTS = [
    "+262142-12-31T23:59:59Z", "-262143-01-01T00:00:00Z", "+10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z",
    "9999-01-01T00:00:00Z", "9998-12-31T23:59:59.999999999Z", "9998-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59",
    "2016-12-31T23:59:60Z", "1969-12-31T23:59:59Z", "2026-03-29T02:30:00+01:00", "2026-02-29T00:00:00Z",
    "2026-01-01T00:00:00",
]  # fmt: skip
NUMBERS = [0, 1, 2, 3, 5, 7, 10, 24, 30, 50, 60, 100, 101, 480, 1440, 10_000, -1, 2**31 - 1, -(2**31)]
VALUES = [
    None, True, 0, -1, 2**53, 2**63, -(2**63), 2**64, 0.1, 1e300, -0.0, "", "payload.email", "'Form'", [], {},
    [[[[1]]]], {"a": {"b": {"c": []}}}, {"": 1}, {"a b": "c"}, {"email": "payload.email"}, ["x"] * 300,
    {"tags": [*range(900)]},
]  # fmt: skip

# What is made first: `$Type` is the id of the last thing of that type, `$Type.field` what belongs to it.
DAYS = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
ITEM = {"workItemId": "$WorkItem", "token": "$WorkItem.token"}
CHECKS = "identity_confirmed decision_role reached fits_profile need_stated timeline consent_to_contact".split()
ANSWERS = [{"item": one, "verdict": "CONFIRMED", "value": "a", "evidence": "a"} for one in CHECKS]
UPSERT = {"kind": "CONTACT_UPSERT", "values": {"email": "payload.email"}}
LISTED = {"accountId": "$Account", "kind": "ADD", "reasons": ["ICP_FIT"], "tier": "T1"}
ANN = {"name": "Ann", "email": "ann@acme.example", "consent": {"state": "GRANTED", "source": "form"}}


def person(name, role, side=None):
    return {"email": f"{name.lower()}@example.com", "name": name, "roles": [role], "side": side, "timeZone": "UTC"}


def lead(number):
    return [
        ("leadReceive", {"contactId": "$Contact", "source": "fuzz", "externalId": f"{number}"}),
        ("leadQualify", {"leadId": "$Lead", "priority": 50, "grade": "A1"}),
        ("workItemClaimNext", {"kind": "VERIFY_LEAD"}),
        ("workItemStart", ITEM),
        ("workItemAnswer", ITEM | {"answers": ANSWERS}),
        ("workItemVerify", ITEM),
        ("opportunityDispatch", {"leadId": "$Lead", "amount": {"amount": "1250.50", "currency": "EUR"}}),
    ]


ROWS = [
    ("teamCreate", {"name": "Outbound", "side": "MARKETING"}),
    ("userCreate", person("Sid", "SDR", "MARKETING")),
    ("userCreate", person("Sal", "SALES", "SALES")),
    ("accessTokenIssue", {"userId": "$User", "name": "fuzz", "role": "SALES"}),
    ("taxonomyTermSave", {"taxonomy": "TIER", "code": "T1", "nameEn": "First"}),
    ("customFieldDefine", {"entity": "CONTACT", "key": "shoe_size", "kind": "NUMBER", "label": "Shoe size"}),
    ("accountCreate", {"name": "Acme", "domains": ["acme.example"], "tags": ["fuzz"]}),
    ("contactCreate", ANN | {"accountId": "$Account"}),
    ("contactCreate", {"name": "Ben", "email": "ben@acme.example", "phone": "+49 30 901820"}),
    ("targetListCreate", {"key": "fuzz", "name": "Fuzz", "description": "Fuzz"}),
    ("changeRequestPropose", {"listId": "$TargetAccountList", "changes": [LISTED]}),
    ("workingCalendarSave", {"key": "fuzz", "name": "Fuzz", "timeZone": "Europe/Berlin",
                             "week": [{"day": day, "hours": ["00:00-24:00"]} for day in DAYS]}),
    ("poolSave", {"key": "fuzz", "name": "Fuzz", "calendarId": "$WorkingCalendar", "members": [{"userId": "$User"}]}),
    ("routingTableSave", {"rules": [], "fallbackPoolId": "$Pool"}),
    ("sequencePublish", {"source": SEQUENCES[0]}),
    ("suppressionAdd", {"kind": "EMAIL", "reason": "MANUAL", "source": "fuzz", "value": "no@acme.example"}),
    ("userCreate", person("Bot", "INTEGRATION")),
    ("inboundWebhookSave", {"webhook": {"key": "fuzz", "name": "Fuzz", "scheme": "BEARER", "actsAs": "$User",
                                        "actions": [UPSERT]}}),
    ("eventSourceSave", {"key": "fuzz", "name": "Fuzz", "trust": "SERVER", "actsAs": "$User",
                         "rules": [{"event": "Signed up", "kind": "FORM"}]}),
    # No such address can exist: every delivery to it fails.
    ("outboundWebhookSave", {"key": "fuzz", "name": "Fuzz", "url": "https://receiver.example/fuzz", "types": ["*"]}),
    ("interactionRecord", {"contactId": "$Contact", "kind": "PAGE", "name": "Pricing"}),
    ("taskCreate", {"contactId": "$Contact", "title": "Call", "dueAt": "2100-01-01T00:00:00Z"}),
    ("enrollmentCreate", {"sequenceId": "$Sequence", "contactId": "$Contact"}),
    *[row for number in range(5) for row in lead(number)[: 7 - number]],
]  # fmt: skip

# What other systems send: events to the source, and a body to the webhook.
EVENTS = [
    {"type": "identify", "messageId": "1", "userId": "u", "traits": {"email": "eve@acme.example", "name": "Eve"}},
    {"type": "track", "messageId": "2", "userId": "u", "event": "Signed up", "properties": {"plan": "trial"}},
    {"type": "page", "messageId": "3", "anonymousId": "a", "name": "Pricing"},
    {"type": "track", "messageId": "4"},
]
DELIVERED = {"email": "dan@acme.example"}
