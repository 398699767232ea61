"""A daemon whose PostgreSQL server is killed, cut off or full: nothing is lost, and nothing runs twice.

`TIDEWATT_SOAK_DISK=1` runs all of it.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.failing_house import CONFIG, SOAK, FailingHouse
from tests.disk.call_sites import CallSite, ordered
from tests.disk.library import preloaded
from tests.postgresql.relay import Relay
from tests.postgresql.server import Server
from tests.postgresql.server import ground as open_ground
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.store import Store, StoreError
from tidewatt.scheduler.store.address import parsed

PLAIN = CONFIG.partition("[[source]]")[0]


@pytest.fixture(scope="module")
def ground(require_engine: Callable[[str], None]) -> Iterator[Path]:
    """A folder that the server's user may enter, with the library in it."""
    require_engine("postgresql")
    require_engine("gcc")
    with open_ground() as folder:
        preloaded(folder).chmod(0o755)
        yield folder


class FillingServer(Server):
    """One whose disk is full while `full` beside it says so; no part of the house, which ends what is."""

    def up(self) -> Server:
        """Starts it, with the library between it and its disk."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LD_PRELOAD", str(self.folder.parent / "disk.so"))
            patch.setenv("DISK_CONTROL", str(self.folder.parent / "full"))
            patch.setenv("TIDEWATT_HOME", str(self.folder / "data"))
            return super().up()


@pytest.fixture(scope="module")
def server(ground: Path) -> Iterator[Server]:
    found = FillingServer(ground / "server").up()
    yield found
    found.down()


@pytest.fixture
def relay(server: Server) -> Iterator[Relay]:
    found = Relay(server.port)
    yield found
    found.close()


@pytest.fixture
def failing(house: Any, ground: Path, server: Server, relay: Relay) -> FailingHouse:
    made = FailingHouse(house, ground / "disk.so")
    url = server.database(house.folder.name.replace("-", "_").lower())
    made.url = url.replace(f":{server.port}/", f":{relay.port}/")
    return made


def test_server_that_was_killed_costs_no_job_and_latest_starts_are_made_up_for(
    failing: FailingHouse, server: Server
) -> None:
    failing.replays(f'database = "{failing.url}"\n')
    daemon, running = failing.house.daemon_pid(), failing.submit(argv=["sh", "-c", failing.script("sleep 3")])
    waiting = failing.submit_to_wait(minutes=30)
    failing.house.until(failing.runs)
    server.down("immediate")
    with pytest.raises(SchedulerError, match=r"cannot (read|write to) the store"):
        failing.asked()
    failing.house.until(lambda: failing.lines("guard.failed"))
    time.sleep(5)  # its latest start has passed, and the other job has ended
    assert failing.runs() == [running]
    assert failing.house.daemon_pid() == daemon
    server.up()
    failing.house.until(lambda: waiting in failing.runs(), within_s=20)
    assert failing.ended(running)["state"] == failing.ended(waiting)["state"] == "done"
    assert sorted(failing.runs()) == [running, waiting]


@SOAK
def test_lines_that_break_all_the_time_lose_and_double_nothing(failing: FailingHouse, relay: Relay) -> None:
    failing.house.up(config=f'{PLAIN}database = "{failing.url}"\n')
    numbers, broken = [], 0
    for _ in range(4):
        broken += relay.reset()
        numbers.append(failing.submit())
        broken += relay.reset()
    assert broken >= 4
    for number in numbers:
        assert failing.ended(number)["state"] == "done"
    assert sorted(failing.runs()) == numbers


def test_job_whose_commit_was_not_answered_is_there_once(failing: FailingHouse, relay: Relay) -> None:
    failing.house.up(config=f'{PLAIN}database = "{failing.url}"\n')
    relay.mark = b"INSERT INTO job "
    with pytest.raises(SchedulerError, match="cannot write to the store"):
        failing.asked(key="the-same-key")
    assert relay.lost.wait(20)
    again = failing.asked(key="the-same-key")["job"]["id"]
    assert failing.ended(again)["state"] == "done"
    assert failing.runs() == [again]
    assert [job["id"] for job in failing.house.client().jobs(("",), limit=10)] == [again]


@SOAK
def test_server_whose_disk_is_full_keeps_what_was_acknowledged(
    failing: FailingHouse, server: Server, ground: Path
) -> None:
    failing.house.up(config=f'{PLAIN}database = "{failing.url}"\n')
    before = failing.submit()
    failing.ended(before)
    ordered(ground / "full", CallSite("any", "any", "pg_wal/*").order(28, "always"))
    with pytest.raises(SchedulerError, match=r"cannot (read|write to) the store"):
        failing.asked()
    (ground / "full").unlink()
    server.down("immediate")
    server.up()
    assert failing.ended(before)["state"] == "done"
    after = failing.submit()
    assert failing.ended(after)["state"] == "done"
    assert failing.runs() == [before, after]


def test_server_that_takes_the_connection_and_says_nothing_is_told_within_seconds(relay: Relay) -> None:
    relay.deaf = True
    began = time.monotonic()
    with pytest.raises(StoreError, match="cannot open the store"):
        Store(parsed(f"postgresql://ada@127.0.0.1:{relay.port}/tidewatt?connect_timeout=2"))
    assert time.monotonic() - began < 15
