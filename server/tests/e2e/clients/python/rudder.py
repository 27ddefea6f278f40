"""501 calls through RudderStack's SDK for Python, as a program of somebody's makes them.
Prints {sent, messageIds} as JSON; fails where a call or its delivery did.

  python rudder.py URL WRITE_KEY
"""

import json
import sys

from rudderstack.analytics import Client

COUNT = 501


def once(analytics):
    """The calls that come once. The SDK makes a text of a number that is a user's id."""
    yield analytics.alias("rudder-python-visitor-0", "rudder-python-user-0")
    yield analytics.group("rudder-python-user-1", "rudder-python-company-1", {"name": "Example, Inc."})
    yield analytics.track(anonymous_id="rudder-python-visitor-2", event="Visited", properties={"number": 2})
    yield analytics.track(4300003, "Numbered", {"number": 3})


def call(analytics, number):
    who = {"user_id": f"rudder-python-user-{number}", "anonymous_id": f"rudder-python-visitor-{number}"}
    match number % 8:
        case 0:
            return analytics.identify(**who, traits={"email": f"{who['user_id']}@example.com", "plan": "trial"})
        case 1:
            url = f"https://example.com/pricing?of={number}"
            return analytics.page(**who, category="Docs", name="Pricing", properties={"url": url})
        case 2:
            return analytics.screen(**who, name="Inbox", properties={"number": number})
        case _:
            properties = {"number": number, "total": number / 4, "currency": "EUR"}
            return analytics.track(**who, event="Order Placed", properties=properties)


def main(url, write_key):
    failures = []
    analytics = Client(write_key, host=url, on_error=lambda error, batch: failures.append(f"{len(batch)}: {error}"))
    calls = list(once(analytics))
    calls += [call(analytics, number) for number in range(len(calls), COUNT)]
    analytics.shutdown()
    if failures or not all(queued for queued, _ in calls):
        sys.exit("not all were delivered: " + "; ".join(failures))
    print(json.dumps({"sent": len(calls), "messageIds": [message["messageId"] for _, message in calls]}))


main(*sys.argv[1:])
