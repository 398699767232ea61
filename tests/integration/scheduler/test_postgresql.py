"""The store in a real PostgreSQL: the same promises as in a file, and the way from one to the other."""

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.postgresql.server import Server, commands, serving
from tests.unit.scheduler.test_store import job
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.proof.chain import START, link, seal
from tidewatt.scheduler.proof.purged import PURGEABLE
from tidewatt.scheduler.store import Store, cleansing
from tidewatt.scheduler.store.address import address, parsed, settle, settled
from tidewatt.scheduler.store.cleansing import Part
from tidewatt.scheduler.store.copying import copy
from tidewatt.scheduler.store.database import StoreError
from tidewatt.scheduler.store.ledger import examined
from tidewatt.scheduler.store.moving import move

Made = Callable[[], sa.URL]


@pytest.fixture(scope="module")
def server(require_engine: Callable[[str], None]) -> Iterator[Server]:
    require_engine("postgresql")
    with serving() as found:
        yield found


@pytest.fixture
def made(server: Server, request: pytest.FixtureRequest) -> Made:
    """A new database, whenever it is called."""
    numbers = iter(range(100))
    return lambda: parsed(server.database(f"{request.node.originalname[:40]}_{next(numbers)}"))


def submit(store: Store, **values: Any) -> int:
    with store.transaction() as transaction:
        number = transaction.add_job(job(**values))
        transaction.append(1000, "submitted", {"argv": ["python", "é"]}, job_id=number)
    return number


def submit_and_fail(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.add_job(job())
        raise RuntimeError


def chained(store: Store) -> bool:
    """True where each event's hash follows from the one before it, and no number is missing."""
    last, tip = 0, START
    for event in store.chain(0):
        tip = link(tip, seal({name: value for name, value in event.items() if name != "hash"}))
        if event["seq"] != last + 1 or event["hash"] != tip:
            return False
        last = event["seq"]
    return last == store.tip().seq


def test_what_was_acknowledged_is_there_after_the_server_was_killed(server: Server, made: Made) -> None:
    where = made()
    store = Store(where)
    numbers = [submit(store) for _ in range(20)]
    with pytest.raises(RuntimeError):
        submit_and_fail(store)
    server.down("immediate")
    with pytest.raises(StoreError, match=r"cannot (read|write to) the store"):
        submit(store)
    server.up()
    assert [each.id for each in store.jobs()] == numbers
    assert submit(store) > numbers[-1]
    assert chained(store)
    store.close()


def submit_beside_an_error(store: Store, *, together: bool) -> None:
    with store.together() if together else nullcontext(), store.transaction() as transaction:
        transaction.add_job(job())
        with suppress(sa.exc.DBAPIError):  # whoever catches it must not believe that all is well
            transaction.execute(sa.text("select 1 / 0"))


def test_change_that_the_server_undid_at_its_commit_is_not_acknowledged(made: Made) -> None:
    store = Store(made())
    for together in (False, True):
        with pytest.raises(StoreError, match="was not stored"):
            submit_beside_an_error(store, together=together)
    assert store.jobs() == []
    assert submit(store) > 0
    store.close()


def test_writers_in_several_threads_keep_one_chain(made: Made) -> None:
    stores = [Store(where) for where in [made()] for _ in range(4)]
    threads = [
        threading.Thread(target=lambda store=store: [submit(store) for _ in range(25)]) for store in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stores[0].count() == {"waiting": 100}
    assert stores[0].tip().seq == 100
    assert chained(stores[0])
    for store in stores:
        store.close()


def test_second_daemon_is_refused_and_one_that_was_replaced_writes_no_more(
    server: Server, made: Made
) -> None:
    where = made()
    first, second = Store(where), Store(where)
    first.alone()
    submit(first)
    with pytest.raises(StoreError, match=r"serves the store .* already"):
        second.alone()
    submit(first)
    server.down("immediate")  # its connections end, and with them its lock
    server.up()
    second.alone()
    submit(second)
    with pytest.raises(StoreError, match="another daemon serves the store"):
        submit(first)
    assert chained(second)
    for store in (first, second):
        store.close()


def test_numbers_are_never_given_twice(made: Made) -> None:
    store = Store(made())
    with store.transaction() as transaction:
        transaction.skip_numbers(40)
    assert submit(store) == 41
    with store.transaction() as transaction:
        transaction.skip_numbers(10)
    assert submit(store) == 42
    store.close()


def test_reports_read_the_same_from_both(made: Made, tmp_path: Path) -> None:
    answers = []
    for where in (tmp_path / "tidewatt.db", made()):
        store = Store(where)
        frozen = {"home": "local", "submitted_ms": 1000, "signal": "average", "lot": {"arm": "held out"}}
        account = {"profile": [1], "phases": [{"phase": "running"}], "energy_uj": 5}
        for ended_ms in (2000, 3000):
            number = submit(store, frozen=frozen, ended_ms=ended_ms, settlement=account)
            with store.transaction() as transaction:
                transaction.move_job(number, JobState.CANCELLED, "said so", 2500)
        submit(store, array=3, array_task=1, array_size=1, frozen=frozen)
        answers.append(
            (
                store.accounts_since(2500), store.turns_since(0), store.lines(limit=2),
                store.task_counts({3}), store.open_accounts(), store.not_over(0), store.chain(1, limit=2),
                store.cited(5000),
                store.newest_accounts(10), store.first_event([2]), store.last_before(9999),
            )
        )  # fmt: skip
        store.close()
    assert answers[0] == answers[1]


def test_store_moves_to_the_server_and_back_with_every_number(made: Made, tmp_path: Path) -> None:
    here, there, back = tmp_path / "a.db", made(), tmp_path / "b.db"
    store = Store(here)
    numbers = [submit(store) for _ in range(12)]
    with store.transaction() as transaction:
        transaction.skip_numbers(90)
    tip = store.tip()
    store.close()
    assert move(here, there).rows["job"] == 12
    moved = Store(there)
    assert [each.id for each in moved.jobs()] == numbers
    assert moved.tip() == tip
    assert submit(moved) == 91
    assert chained(moved)
    moved.close()
    move(there, back)
    last = Store(back)
    assert submit(last) == 92
    assert chained(last)
    last.close()


def test_store_is_not_moved_onto_another(made: Made, tmp_path: Path) -> None:
    there = made()
    for where in (tmp_path / "a.db", there):
        store = Store(where)
        submit(store)
        store.close()
    with pytest.raises(StoreError, match=r"is not empty"):
        move(tmp_path / "a.db", there)
    store = Store(there)
    assert store.count() == {"waiting": 1}
    store.close()


def test_a_copy_is_one_instant_of_the_store_and_nobody_who_writes_waits_for_it(
    made: Made, tmp_path: Path
) -> None:
    where, over = made(), threading.Event()
    store = Store(where)
    submit(store)

    def write() -> None:
        while not over.is_set():
            submit(store)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = [copy(where, tmp_path / f"{number}.db") for number in range(3)]
    finally:
        over.set()
        writer.join()
    for number, each in enumerate(found):
        kept = Store(tmp_path / f"{number}.db")
        assert chained(kept)
        assert (kept.tip().seq, kept.tip().hash) == (each.events, each.hash)
        assert sum(kept.count().values()) == each.events  # an event and its job, or neither
        kept.close()
    assert found[0].events <= found[-1].events < store.tip().seq
    store.close()


def test_words_are_purged_and_the_chain_holds(made: Made, tmp_path: Path) -> None:
    store = Store(made())
    number = submit(store)
    with store.transaction() as transaction:
        transaction.thoroughly()
        transaction.append(2000, "purged", {"user": "ada", "jobs": [[number, number]], "events": []})
        cleansing.cleanse_events(transaction, cleansing.lacking(store.events(number), PURGEABLE))
        cleansing.cleanse_job(transaction, store.numbered([number])[number], Part(names=True, paths=True))
    store.forget()
    store.fold()
    [event, _] = store.events()
    assert (event["payload"], list(event["hidden"])) == ({}, ["argv"])
    assert store.numbered([number])[number].argv == ()
    result = examined(store, tmp_path / "none", None)
    assert (result.wrong, len(result.purges)) == ((), 1)
    store.close()


def test_address_is_settled_once(tmp_path: Path) -> None:
    place = Paths(tmp_path, tmp_path)
    url = "postgresql://ada@db.example.org/tidewatt"
    assert settled(place, "") == place.database
    assert settled(place, url) == address(place) == parsed(url)
    assert settled(place, "") == parsed(url)
    with pytest.raises(StoreError, match=r"`tidewatt move-store postgresql://ada@db\.example\.org/other`"):
        settled(place, "postgresql://ada@db.example.org/other")
    settle(place, place.database)
    assert address(place) == place.database


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense", "is no URL"),
        ("mysql://db/tidewatt", "mysql is no database that we know"),
        ("postgresql://ada:secret@db/tidewatt", "holds a password"),
        ("postgresql://ada@db", "names no database"),
    ],
)
def test_url_that_cannot_be_used_is_told_without_its_password(url: str, sentence: str) -> None:
    with pytest.raises(StoreError, match=sentence) as refused:
        parsed(url)
    assert "secret" not in str(refused.value)


def test_server_that_is_not_there_is_told() -> None:
    with pytest.raises(StoreError, match=r"cannot open the store postgresql://ada@127\.0\.0\.1:1/tidewatt"):
        Store(parsed("postgresql://ada@127.0.0.1:1/tidewatt"))


def test_commands_of_the_newest_server_are_found() -> None:
    found = commands()
    assert found is None or (found / "initdb").exists()
