"""Events are chained as they are written; whatever is done to them afterwards is told."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import alembic.command
import pytest
import sqlalchemy as sa
from alembic.config import Config

from tidewatt.scheduler.proof import lines
from tidewatt.scheduler.proof.canonical import LARGEST, canonical
from tidewatt.scheduler.proof.chain import EMPTY, START, ChainBroken, Tip, follow
from tidewatt.scheduler.proof.lines import WHOLE
from tidewatt.scheduler.store import Store, database


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "tidewatt.db")
    yield made
    made.close()


def write(store: Store, *values: int) -> None:
    for value in values:
        with store.transaction() as transaction:
            transaction.append(1000 + value, "kind", {"value": value}, job_id=value, reason="why")


def tamper(store: Store, statement: str) -> None:
    with closing(sqlite3.connect(store.name)) as connection:
        connection.execute(statement)
        connection.commit()


def old_store(path: Path, revision: str, events: int) -> None:
    """A store as an earlier release left it, with some events."""
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, revision)
        for number in range(1, events + 1):
            connection.exec_driver_sql(
                "insert into event (time_ms, job_id, attempt_id, kind, reason, payload)"
                " values (?, ?, '', 'submitted', '', ?)",
                (1000 * number, number if number % 2 else None, f'{{"user":"ada","n":{number}}}'),
            )
    engine.dispose()


def test_hash_of_an_event_can_be_computed_by_hand(store: Store) -> None:
    write(store, 7)
    digests = [hashlib.sha256(text).hexdigest() for text in (b"7", b'"why"')]
    body = '{"payload":{"value":"%s"},"reason":"%s"}' % tuple(digests)  # noqa: UP031 - braces are JSON's
    body = hashlib.sha256(body.encode()).hexdigest()
    label = (f'{{"attempt_id":"","body":"{body}","job_id":7,"kind":"kind","seq":1,"time_ms":1007}}').encode()
    expected = hashlib.sha256(bytes(32) + hashlib.sha256(label).digest()).hexdigest()
    assert store.events()[0]["hash"] == expected
    assert store.tip() == Tip(1, expected)
    assert (store.hash_of(1), store.hash_of(0), store.hash_of(9)) == (expected, START, "")


def test_chain_of_what_was_written_holds_across_transactions_and_restarts(store: Store) -> None:
    write(store, 1, 2)
    with store.transaction() as transaction:
        for number in (3, 4):
            transaction.append(number, "ü \U0001f600", {"ä\ue000": 1, "\U0001f600": [2, "\n"]})
    again = Store(Path(store.name))
    write(again, 5)
    assert follow(store.chain(0)) == again.tip() == Tip(5, store.events()[-1]["hash"])
    assert follow(store.chain(2), Tip(2, store.hash_of(2))).seq == 5
    assert follow(store.chain(0, up_to=3)).seq == 3
    again.close()


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("update event set payload = '{\"value\":9}' where seq = 2", "broken at event 2"),
        ("update event set reason = 'other' where seq = 2", "broken at event 2"),
        ("update event set time_ms = 1 where seq = 1", "broken at event 1"),
        ("update event set job_id = null where seq = 3", "broken at event 3"),
        ("update event set hash = 'ab' where seq = 3", "broken at event 3"),
        ("delete from event where seq = 2", "event 2 is missing"),
        ("delete from event where seq < 3", "events 1 to 2 are missing"),
        ("update event set seq = 9 where seq = 4", "events 4 to 8 are missing"),
    ],
)
def test_whatever_is_done_to_an_event_is_told(store: Store, statement: str, told: str) -> None:
    write(store, 1, 2, 3, 4)
    tamper(store, statement)
    with pytest.raises(ChainBroken, match=told):
        follow(store.chain(0))


def test_events_that_were_cut_off_at_the_end_leave_a_hole_before_the_next(store: Store) -> None:
    write(store, 1, 2, 3)
    tamper(store, "delete from event where seq = 3")
    write(store, 4)
    with pytest.raises(ChainBroken, match="event 3 is missing"):
        follow(store.chain(0))


def test_store_with_a_broken_chain_goes_on_and_mends_nothing(store: Store) -> None:
    write(store, 1, 2)
    tamper(store, "update event set kind = 'other' where seq = 1")
    again = Store(Path(store.name))
    write(again, 3)
    assert [event["kind"] for event in again.events()] == ["other", "kind", "kind"]
    with pytest.raises(ChainBroken, match="event 1"):
        follow(again.chain(0))
    again.close()


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_events_of_an_older_release_are_chained_once_and_that_is_told(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "tidewatt.db"
    old_store(path, revision, events=3)
    store = Store(path)
    *old, began = store.events()
    assert [event["payload"] for event in old] == [{"user": "ada", "n": n} for n in (1, 2, 3)]
    assert (began["kind"], began["payload"]) == ("chain.began", {"until_seq": 3})
    assert "nothing shows" in began["reason"]
    write(store, 5)
    assert follow(store.chain(0)).seq == 5
    store.close()
    again = Store(path)
    assert [event["kind"] for event in again.events_of("chain.began")] == ["chain.began"]
    again.close()


def test_new_store_has_an_empty_chain(store: Store) -> None:
    assert store.tip() == EMPTY
    assert follow(store.chain(0)) == EMPTY


def test_events_of_a_kind_are_found_by_time(store: Store) -> None:
    write(store, 1, 2, 3)
    with store.transaction() as transaction:
        transaction.append(1002, "own")
    assert [event["seq"] for event in store.events_of("kind", 1002)] == [2, 3]


@pytest.mark.parametrize("value", [LARGEST + 1, -LARGEST - 1, [2**60], {"deep": 2**64}])
def test_integer_that_not_every_reader_can_hold_is_refused(store: Store, value: object) -> None:
    with pytest.raises(TypeError, match="2\\^53"), store.transaction() as transaction:
        transaction.append(1, "kind", {"value": value})


def test_half_a_surrogate_pair_is_escaped_and_read_back() -> None:
    value = {"a": "\ud800", "b": "😀\\udc00", "\udfff": "é"}
    assert canonical({"a": "\ud800"}) == rb'{"a":"\ud800"}'
    assert json.loads(canonical(value)) == value


def test_event_of_an_older_release_with_half_a_surrogate_pair_is_chained_too(tmp_path: Path) -> None:
    path = tmp_path / "tidewatt.db"
    old_store(path, "0002", events=1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("update event set payload = ?", ('{"a":"\\ud83d","b":"😀"}',))
        connection.commit()
    store = Store(path)
    assert store.events()[0]["payload"] == {"a": "\ud83d", "b": "😀"}
    written = lines.written(store.chain(0), EMPTY, lambda _event: WHOLE)
    assert lines.read(written).end == follow(store.chain(0)) == store.tip()
    store.close()
