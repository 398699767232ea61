"""The ledger's key is its owner's; what was signed of the events is compared with what is there."""

import base64
import hashlib
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tidewatt.scheduler.daemon import ledger as daemon_ledger
from tidewatt.scheduler.daemon.ledger import Ledger
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import SettlementState
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.proof import heads
from tidewatt.scheduler.proof.envelope import HEAD, Forged, Statement, opened, sign
from tidewatt.scheduler.proof.heads import Head
from tidewatt.scheduler.proof.keys import KeyTrouble, own_key, signing_key, verifying_key
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.ledger import examined

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path, tmp_path / "run")


@pytest.fixture
def store(paths: Paths) -> Iterator[Store]:
    made = Store(paths.database)
    yield made
    made.close()


def ledger(paths: Paths, store: Store) -> Ledger:
    site = SimpleNamespace(paths=paths, clock=SimpleNamespace(now=lambda: NOW))
    return Ledger(cast(Any, site), store)


def write(store: Store, count: int, kind: str = "kind") -> None:
    with store.transaction() as transaction:
        for number in range(count):
            transaction.append(number, kind, {"n": number})


def tamper(store: Store, statement: str) -> None:
    with closing(sqlite3.connect(store.name)) as connection:
        connection.execute(statement)
        connection.commit()


def stored(paths: Paths) -> list[Head]:
    key = own_key(paths.keys)
    assert key is not None
    return [head for head, _ in heads.kept(paths.heads, key)]


def test_key_is_made_once_and_for_its_owner_only(paths: Paths) -> None:
    first, second = signing_key(paths.keys), signing_key(paths.keys)
    assert first.public.fingerprint == second.public.fingerprint
    assert (paths.keys / "ledger.pem").stat().st_mode & 0o777 == 0o600
    assert paths.keys.stat().st_mode & 0o777 == 0o700
    assert own_key(paths.keys) == verifying_key(paths.keys / "ledger.pub.pem")


def test_key_that_others_may_read_is_not_used(paths: Paths) -> None:
    signing_key(paths.keys)
    (paths.keys / "ledger.pem").chmod(0o640)
    with pytest.raises(KeyTrouble, match="chmod 600"):
        signing_key(paths.keys)


@pytest.mark.parametrize("content", [b"", b"no key", b"x" * 20_000])
def test_file_that_holds_no_key_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="no public Ed25519 key"):
        verifying_key(path)


def test_signed_statement_comes_back_and_only_with_its_own_key(tmp_path: Path) -> None:
    mine, other = signing_key(tmp_path / "mine"), signing_key(tmp_path / "other")
    statement = Statement("urn:a", {"b": "ab", "a": "cd"}, {"n": 1})
    assert opened(sign(statement, mine), mine.public) == statement
    with pytest.raises(Forged, match="another key"):
        opened(sign(statement, mine), other.public)


@pytest.mark.parametrize(
    "change",
    [
        lambda e: e | {"payload": base64.b64encode(b"{}").decode()},
        lambda e: e | {"payloadType": "text/plain"},
        lambda e: e | {"more": 1},
        lambda e: e | {"signatures": [{**e["signatures"][0], "sig": base64.b64encode(bytes(64)).decode()}]},
        lambda e: e | {"signatures": e["signatures"] * 2},
        lambda e: {key: value for key, value in e.items() if key != "signatures"},
    ],
    ids=["payload", "type", "field", "signature", "signatures", "unsigned"],
)
def test_changed_envelope_is_told(tmp_path: Path, change: Any) -> None:
    key = signing_key(tmp_path)
    form = json.loads(sign(Statement("urn:a", {"b": "ab"}, {}), key))
    with pytest.raises(Forged):
        opened(json.dumps(change(form), sort_keys=True, separators=(",", ":")).encode(), key.public)


def test_head_can_be_checked_with_openssl(paths: Paths, store: Store, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    write(store, 2)
    kept = ledger(paths, store)
    kept.begin()
    _, line = kept.sign()
    envelope = json.loads(line)
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    (tmp_path / "message").write_bytes(signed)
    (tmp_path / "signature").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    public = str(paths.keys / "ledger.pub.pem")
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin"]
    command += ["-in", str(tmp_path / "message"), "-sigfile", str(tmp_path / "signature")]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", public, "-outform", "DER"],
        check=True,
        capture_output=True,
    ).stdout
    assert hashlib.sha256(der).hexdigest() == envelope["signatures"][0]["keyid"]


def test_head_is_signed_at_the_start_and_at_each_settlement_but_not_for_every_event(
    paths: Paths, store: Store
) -> None:
    write(store, 2)
    kept = ledger(paths, store)
    kept.begin()
    write(store, 3)
    kept.turn()
    assert [head.seq for head in stored(paths)] == [2]
    write(store, 1, "settlement.provisional")
    kept.turn()
    kept.turn()
    write(store, 1, "submitted")
    kept.turn()
    assert [head.seq for head in stored(paths)] == [2, 6, 7]
    assert (kept.troubles(), stored(paths)[-1].hash) == ((), store.hash_of(7))


def test_account_that_was_changed_in_its_row_is_told(paths: Paths, store: Store) -> None:
    from tests.unit.scheduler.test_store import add

    number = add(store)
    with store.transaction() as transaction:
        transaction.append(1, "submitted", {"frozen": {"home": "local"}}, job_id=number)
        transaction.set_settlement(number, SettlementState.FINAL, {"energy_uj": 5}, 2)
    kept = ledger(paths, store)
    kept.begin()
    kept.turn()
    assert kept.troubles() == ()
    tamper(store, 'update job set settlement = \'{"energy_uj":4}\', frozen = \'{"home":"eu"}\'')
    for again in (ledger(paths, store),):
        again.begin()
        again.turn()
        assert "job 1: its account is not what event 2 says" in again.troubles()[0]
    found = examined(store, paths.heads, own_key(paths.keys))
    assert sorted(found.wrong) == [
        "job 1: its account is not what event 2 says",
        "job 1: what its baseline stands on is not what event 1 says",
    ]


def test_nothing_is_signed_any_more_over_a_ledger_that_was_changed(paths: Paths, store: Store) -> None:
    write(store, 3)
    kept = ledger(paths, store)
    kept.begin()
    tamper(store, "update event set reason = 'x' where seq = 2")
    again = ledger(paths, store)
    again.begin()
    again.turn()
    write(store, 1, "settlement.final")
    again.turn()
    assert [head.seq for head in stored(paths)] == [3]
    with pytest.raises(Refused, match="nothing is signed, since the chain of events is broken at event 2"):
        again.sign()


def test_torn_head_does_not_hide_the_others(paths: Paths, store: Store) -> None:
    write(store, 1)
    kept = ledger(paths, store)
    kept.begin()
    with paths.heads.open("ab") as file:
        file.write(b'{"payload":"cut')
    write(store, 1)
    kept.sign()
    assert [head.seq for head in stored(paths)] == [1, 2]


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("delete from event where seq > 2", "is not what was signed at event 4"),
        ("update event set reason = 'x' where seq = 1", "broken at event 1"),
        ("delete from event where seq = 2", "event 2 is missing"),
    ],
)
def test_what_was_done_to_the_store_is_told_and_the_daemon_goes_on(
    paths: Paths, store: Store, statement: str, told: str
) -> None:
    write(store, 4)
    ledger(paths, store).begin()
    tamper(store, statement)
    again = ledger(paths, store)
    again.begin()
    again.turn()
    again.turn()
    assert any(told in sentence for sentence in again.troubles()), again.troubles()
    write(store, 1)
    again.turn()
    assert store.tip().seq == 5


def test_store_that_was_replaced_by_an_older_one_is_told(paths: Paths, store: Store) -> None:
    write(store, 4)
    ledger(paths, store).begin()
    store.close()
    paths.database.unlink()
    older = Store(paths.database)
    write(older, 2)
    kept = ledger(paths, older)
    kept.begin()
    assert "had 4 events and has 2" in kept.troubles()[0]
    older.close()


def test_long_ledger_is_looked_at_in_parts(
    paths: Paths, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_ledger, "AT_ONCE", 3)
    write(store, 8)
    tamper(store, "update event set kind = 'x' where seq = 7")
    kept = ledger(paths, store)
    kept.begin()
    told = []
    for _ in range(6):
        kept.turn()
        told.append(len(kept.troubles()))
    assert told[0] == 0
    assert told[-1] == 1


def test_without_a_key_nothing_is_signed_and_that_is_said(paths: Paths, store: Store) -> None:
    signing_key(paths.keys)
    (paths.keys / "ledger.pem").chmod(0o644)
    kept = ledger(paths, store)
    kept.begin()
    write(store, 1)
    kept.turn()
    assert "nothing is signed" in kept.troubles()[0]
    with pytest.raises(Refused, match="chmod 600"):
        kept.sign()


def test_other_statement_is_no_head(tmp_path: Path) -> None:
    key = signing_key(tmp_path)
    for statement in (
        Statement("urn:a", {"ledger": "ab"}, {"seq": 1, "time_ms": 1}),
        Statement(HEAD, {}, {}),
    ):
        with pytest.raises(Forged, match="no head"):
            heads.opened(sign(statement, key), key.public)
