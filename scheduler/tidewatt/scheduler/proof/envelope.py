"""Signed statements: an in-toto Statement v1 in a DSSE envelope, each in its canonical form."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidewatt.scheduler.proof.canonical import canonical
from tidewatt.scheduler.proof.keys import SigningKey, VerifyingKey

STATEMENT = "https://in-toto.io/Statement/v1"
PAYLOAD = "application/vnd.in-toto+json"
BUNDLE = "urn:tidewatt:bundle:1"
HEAD = "urn:tidewatt:ledger-head:1"


class Forged(Exception):  # noqa: N818 - it reads as what it says
    """A statement that its signer did not sign like this; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What is claimed (`predicate`) of which things (`subjects`: SHA-256 digests by name)."""

    kind: str  # the predicate's type, a URI
    subjects: Mapping[str, str]
    predicate: Mapping[str, Any]

    def form(self) -> dict[str, Any]:
        """The statement as in-toto writes it."""
        subjects = [
            {"name": name, "digest": {"sha256": self.subjects[name]}} for name in sorted(self.subjects)
        ]
        return {
            "_type": STATEMENT,
            "subject": subjects,
            "predicateType": self.kind,
            "predicate": dict(self.predicate),
        }


def sign(statement: Statement, key: SigningKey) -> bytes:
    """The envelope, one line of canonical JSON."""
    payload = canonical(statement.form())
    return _envelope(payload, key.sign(_message(payload)), key.public)


def opened(envelope: bytes, key: VerifyingKey) -> Statement:
    """The statement in an envelope that this key signed.

    Raises:
        Forged: where it is not whole, not signed by this key, or spelled in another way than the signed one.
    """
    try:
        form = json.loads(envelope)
        payload = base64.b64decode(form["payload"], validate=True)
        signature = base64.b64decode(form["signatures"][0]["sig"], validate=True)
        if form["signatures"][0]["keyid"] != key.fingerprint:
            raise Forged("it names another key")
        if _envelope(payload, signature, key) != envelope:
            raise Forged("it is not spelled as it was signed")
        if not key.signed(_message(payload), signature):
            raise Forged("its signature is not that of the key")
        return _statement(payload)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise Forged(f"it cannot be read ({type(error).__name__})") from None


def _envelope(payload: bytes, signature: bytes, key: VerifyingKey) -> bytes:
    signed = {"keyid": key.fingerprint, "sig": _text(signature)}
    return canonical({"payload": _text(payload), "payloadType": PAYLOAD, "signatures": [signed]})


def _statement(payload: bytes) -> Statement:
    form = json.loads(payload)
    subjects = {each["name"]: each["digest"]["sha256"] for each in form["subject"]}
    found = Statement(form["predicateType"], subjects, form["predicate"])
    if not all(isinstance(each, str) for pair in subjects.items() for each in pair):
        raise Forged("it names things, or digests, by what is no text")
    if canonical(found.form()) != payload:
        raise Forged("it is no statement of this version")
    return found


def _message(payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding."""
    kind = PAYLOAD.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
