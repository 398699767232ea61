"""Opens a bundle: who signed it, whether it is as it was signed, and whether its chain and heads agree."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from tidewatt.forecasting.series import instant
from tidewatt.scheduler.accounting.quantity import counted
from tidewatt.scheduler.proof import bundle, envelope, heads, keys, lines
from tidewatt.scheduler.proof.archive import BadBundle
from tidewatt.scheduler.proof.canonical import once, sha256
from tidewatt.scheduler.proof.chain import Tip
from tidewatt.scheduler.proof.envelope import Forged, Statement
from tidewatt.scheduler.proof.heads import Head
from tidewatt.scheduler.proof.keys import VerifyingKey
from tidewatt.scheduler.proof.lines import Chain
from tidewatt.scheduler.proof.outcome import Outcome

_NEEDED = (bundle.STATEMENT, bundle.KEY, bundle.HEADS, bundle.CHAIN, bundle.INPUTS)
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What content that no Tidewatt wrote makes of code that reads it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle that is as its signer signed it."""

    files: Mapping[str, bytes]
    inputs: Mapping[str, Any]
    chain: Chain
    head: Head
    heads: tuple[Head, ...]  # all of them, the newest last
    statement: Statement


@dataclass(frozen=True, slots=True)
class Trust:
    """Keys that the reader has from elsewhere: the one expected (None: none was named), this host's own."""

    expected: VerifyingKey | None = None
    own: VerifyingKey | None = None
    seen: Tip | None = None  # a head of the same ledger that the reader got earlier


def opened(files: Mapping[str, bytes], trust: Trust, outcome: Outcome) -> Opened | None:
    """The bundle's content, where signature, digests, chain and heads hold; else None, and why in `outcome`.

    Raises:
        BadBundle: where this is no bundle of Tidewatt at all.
    """
    if lacking := [name for name in _NEEDED if name not in files]:
        raise BadBundle(f"this is no bundle of Tidewatt: it lacks {', '.join(lacking)}")
    key = keys.parsed(files[bundle.KEY])
    if key is None:
        outcome.broken("signature", f"{bundle.KEY} holds no Ed25519 key")
        return None
    outcome.signed_by = key.fingerprint
    statement = _statement(files, key, outcome)
    if statement is None or not _trusted(key, trust, outcome) or not _whole(files, statement, outcome):
        return None
    try:
        inputs = parsed(files[bundle.INPUTS])
        chain = lines.read(files[bundle.CHAIN])
        outcome.kind, outcome.subject = str(inputs["kind"]), str(statement.predicate["subject"])
        signed = _heads(files, key, chain, statement, outcome)
    except UNREADABLE as error:
        outcome.broken("chain", f"it cannot be read: {error or type(error).__name__}")
        return None
    if factor := inputs.get("replay_factor_milli"):
        outcome.open(
            "time", f"recorded time was replayed {factor / 1000:g} times as fast: none of this was so then"
        )
    if signed and not _as_seen(chain, trust, outcome):
        return None
    return None if not signed else Opened(files, inputs, chain, signed[-1], signed, statement)


def parsed(content: bytes) -> dict[str, Any]:
    """An object of integers and strings; raises ValueError where there is another number, or none."""
    form = json.loads(content.decode(), parse_float=_refused, parse_constant=_refused, object_pairs_hook=once)
    if not isinstance(form, dict):
        raise ValueError("it is no object")
    return form


def _refused(text: str) -> NoReturn:
    raise ValueError(f"{text} is no integer")


def _statement(files: Mapping[str, bytes], key: VerifyingKey, outcome: Outcome) -> Statement | None:
    try:
        statement = envelope.opened(files[bundle.STATEMENT], key)
    except Forged as error:
        outcome.broken("signature", f"{bundle.STATEMENT} was not signed like this: {error}")
        return None
    if statement.kind != envelope.BUNDLE or statement.predicate.get("format") != bundle.FORMAT:
        outcome.broken(
            "signature", f"it states {statement.kind}, which this version of Tidewatt does not know"
        )
        return None
    return statement


def _trusted(key: VerifyingKey, trust: Trust, outcome: Outcome) -> bool:
    """Tells by whom it was signed; only an expected key that it was not signed with is a fault."""
    known = trust.expected or trust.own
    outcome.vouched = known is not None and known.fingerprint == key.fingerprint
    if trust.expected is not None:
        return outcome.told(
            "signature",
            trust.expected.fingerprint == key.fingerprint,
            f"signed with the key that you named, {key.fingerprint[:16]}",
            f"signed with {key.fingerprint[:16]}, not with the key that you named, "
            f"{trust.expected.fingerprint[:16]}",
        )
    if trust.own is not None and trust.own.fingerprint == key.fingerprint:
        outcome.holds("signature", f"signed with this host's own key, {key.fingerprint[:16]}")
        return True
    outcome.holds("signature", f"signed with the key {key.fingerprint}")
    own = "" if trust.own is None else f" It is not this host's own, {trust.own.fingerprint[:16]}."
    outcome.open(
        "signer", f"nobody here vouches for that key: get it from its owner and name it with --key.{own}"
    )
    return True


def _whole(files: Mapping[str, bytes], statement: Statement, outcome: Outcome) -> bool:
    """Compares every file with its signed digest."""
    signed = {
        name: found
        for name, found in statement.subjects.items()
        if name != bundle.LEDGER and not name.startswith(bundle.OUTPUT)
    }
    there = {name: sha256(content) for name, content in files.items() if name != bundle.STATEMENT}
    wrong = [
        f"{name} was changed" for name in sorted(there) if name in signed and signed[name] != there[name]
    ]
    wrong += [f"{name} was added" for name in sorted(there) if name not in signed]
    wrong += [f"{name} was removed" for name in sorted(signed) if name not in there]
    good = f"{counted(len(there), 'file')} as signed"
    return outcome.told("files", not wrong, good, "; ".join(wrong[:5]) + (" ..." if len(wrong) > 5 else ""))


def _as_seen(chain: Chain, trust: Trust, outcome: Outcome) -> bool:
    """Whether the ledger is the one whose head the reader got earlier: nobody wrote another one since."""
    seen = trust.seen
    if seen is None:
        return True
    if seen.seq not in chain.hashes:
        outcome.open("head", f"the head that you named is of event {seen.seq}, which is not in this bundle")
        return True
    good = f"it goes on from the head that you named, of event {seen.seq}"
    other = f"the head that you named, of event {seen.seq}, is of another ledger: this one was written anew"
    return outcome.told("head", chain.hashes[seen.seq] == seen.hash, good, other)


def _heads(
    files: Mapping[str, bytes], key: VerifyingKey, chain: Chain, statement: Statement, outcome: Outcome
) -> tuple[Head, ...]:
    """The heads, oldest first, where all of them are signed and fit the chain; else none."""
    found = []
    for line in files[bundle.HEADS].splitlines():
        try:
            found.append(heads.opened(line, key))
        except Forged as error:
            outcome.broken("chain", f"a head of the ledger was not signed like this: {error}")
            return ()
    wrong = [head for head in found if chain.hashes.get(head.seq) != head.hash]
    if not found or wrong:
        which = f"at event {wrong[0].seq}" if wrong else "at all"
        outcome.broken(
            "chain", f"the ledger is not what was signed {which}: events were changed or are missing"
        )
        return ()
    last = found[-1]
    if [head.seq for head in found] != sorted(head.seq for head in found):
        outcome.broken("chain", "its heads are out of order")
        return ()
    if last.tip != chain.end or statement.subjects.get(bundle.LEDGER) != last.hash:
        outcome.broken("chain", "its end is not the head that was signed: events were cut off, or added")
        return ()
    count = chain.end.seq - chain.before.seq
    at = f"{instant(last.time_ms):%Y-%m-%d %H:%M} UTC"
    outcome.holds(
        "chain",
        f"{counted(count, 'event')} up to number {last.seq}, {counted(len(found), 'signed head')}, "
        f"the last of {at}",
    )
    return tuple(found)
