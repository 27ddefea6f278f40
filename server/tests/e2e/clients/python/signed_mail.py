"""DKIM by the library dkimpy: whether it believes a message, and what it does not believe any more once that was changed.

  python signed_mail.py key rsa|ed25519

prints a private key in PEM, and the record of the DNS that publishes its public half, as JSON: {pem, record}.

  python signed_mail.py check MESSAGE NAME RECORD

prints what became of the message in a file, whose key is published under a name by a record, as JSON: {believed, signed,
unharmed, harmed}. `signed` has the names of the signed headers in small letters; one that is there twice may not be added.
`unharmed` says of each change that mail servers make on the way, and `harmed` of each that a forger makes, whether the
message was believed all the same.
"""

import base64
import json
import re
import sys

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa


def key(kind):
    private = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ed25519.Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if kind == "ed25519":
        encoding, form = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    public = base64.b64encode(private.public_key().public_bytes(encoding, form)).decode()
    return {"pem": pem.decode(), "record": f"v=DKIM1; k={kind}; p={public}"}


def changed(message, name, change):
    """The message with a change of the value of a header."""
    pattern = rb"(?im)^(" + name.encode() + rb":)((?:.*\r\n[ \t])*.*\r\n)"
    found, count = re.subn(pattern, lambda at: change(at[1], at[2]), message, count=1)
    assert count == 1, f"there is no {name}"
    return found


def of_a_forger(message):
    head, body = message.split(b"\r\n\r\n", 1)
    names = "From To Subject Date Message-ID Reply-To MIME-Version Content-Type List-Unsubscribe List-Unsubscribe-Post".split()
    for name in names:
        yield f"another {name}", changed(message, name, lambda name, _: name + b" other\r\n")
        yield f"no {name}", changed(message, name, lambda *_: b"")
    for name in "From To Subject Date List-Unsubscribe List-Unsubscribe-Post".split():
        for place in (lambda added: added + head + b"\r\n\r\n", lambda added: head + b"\r\n" + added + b"\r\n"):
            yield f"a second {name}", place(name.encode() + b": other\r\n") + body
    at = body.index(b"Hello")
    yield "another word", head + b"\r\n\r\n" + body[:at] + b"Hallo" + body[at + 5 :]
    yield "more at the end", message + b"And send us money.\r\n"
    yield "less at the end", message[: -len(b"--\r\n") - 1] + b"\r\n"


def of_a_mail_server(message):
    head, body = message.split(b"\r\n\r\n", 1)
    yield "a trace in front", b"Received: from a.example by b.example\r\n\twith ESMTP; Mon, 2 Mar 2026 09:00:00 +0000\r\n" + message
    yield "a header of its own behind", head + b"\r\nX-Spam-Score: 0\r\n\r\n" + body
    yield "spaces at the end of lines", head + b"\r\n\r\n" + body.replace(b"\r\n", b" \t\r\n")
    yield "empty lines at the end", message + b"\r\n\r\n"
    yield "another fold", changed(message, "Subject", lambda name, value: name + b"\r\n\t" + value.lstrip())
    yield "a name in capitals", changed(message, "Subject", lambda name, value: name.upper() + value)


def check(file, name, record):
    with open(file, "rb") as opened:
        message = opened.read()

    def published(asked, timeout=None):
        return record.encode() if asked.decode().rstrip(".") == name else None

    def believed(message):
        return dkim.verify(message, dnsfunc=published)

    def judged(changes):
        found = {}
        for what, message in changes:
            found[what] = found.get(what, False) or believed(message)
        return found

    read = dkim.DKIM(message)
    return {
        "believed": read.verify(dnsfunc=published),
        "algorithm": read.signature_fields[b"a"].decode(),
        "signed": [one.strip().decode().lower() for one in read.signature_fields[b"h"].split(b":")],
        "unharmed": {what: believed(message) for what, message in of_a_mail_server(message)},
        "harmed": judged(of_a_forger(message)),
    }


print(json.dumps({"key": key, "check": check}[sys.argv[1]](*sys.argv[2:])))
