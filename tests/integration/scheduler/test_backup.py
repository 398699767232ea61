"""Backups of a daemon at work, and what becomes of its jobs when one is put back."""

import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.integration.scheduler.office import Office, office
from tidewatt.backends import claim
from tidewatt.backends.clock import time_ms
from tidewatt.backends.identity import Identity
from tidewatt.scheduler.daemon import backup
from tidewatt.scheduler.daemon.backup import Parts, back_up
from tidewatt.scheduler.daemon.backup_file import LIST, OWN, BadBackup, read
from tidewatt.scheduler.daemon.history import history
from tidewatt.scheduler.daemon.ledger import Ledger
from tidewatt.scheduler.daemon.restoring import restore
from tidewatt.scheduler.daemon.reviving import LEAST_GAP, Restored
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.proof.keys import own_key
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.copying import copy
from tidewatt.scheduler.store.ledger import examined

NOW_MS = time_ms(datetime(2026, 3, 11, tzinfo=UTC))


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Office]:
    """A daemon with a job that runs, one that waits, one that is done, and a signed head."""
    with working(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of such a daemon."""
    with working(tmp_path_factory.mktemp("daemon")) as made:
        return taken(made)


@contextmanager
def working(folder: Path) -> Iterator[Office]:
    with office(folder, cpus=1) as made:
        made.submit("true")
        made.shift(0)
        made.shift(61)
        made.submit("sleep", env={"SECRET": "s3cret"})
        made.shift(0)
        made.submit("later", env={"SECRET": "s3cret"}, start_by=None, finish_by=None)
        assert made.states() == "drw"
        ledger = Ledger(made.site, made.store)
        ledger.begin()
        ledger.sign()
        yield made


def taken(at: Office, name: str = "b.tar", **parts: Any) -> Path:
    """A backup of it."""
    file = at.folder / name
    back_up(at.paths, file, Parts(**parts), NOW_MS - 1000, "ada")
    return file


def put_back(file: Path, home: Path, **more: Any) -> tuple[Restored, Paths]:
    """What was put back at a place."""
    place = Paths(home, home.parent / "run")
    return restore(file, place, NOW_MS, "ada", **more), place


def members(file: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(file) as archive:
        return {entry.name: entry for entry in archive}


def test_a_backup_is_its_owners_alone_and_is_noted_in_the_state_folder(at: Office) -> None:
    file = taken(at)
    assert file.stat().st_mode & 0o777 == 0o600
    assert not [each.name for each in at.folder.iterdir() if each.name.startswith(".b.tar")]
    last = backup.last(at.paths)
    assert last is not None
    assert (last.path, last.user, last.open_jobs) == (str(file), "ada", 2)
    assert {"tidewatt.db", "heads.jsonl", "keys/ledger.pem", "jobs/2/env.json"} <= set(members(file))
    assert "jobs/1/env.json" not in members(file)


def test_without_keys_it_holds_neither_the_key_nor_environments(at: Office) -> None:
    file = taken(at, keys=False)
    assert not {name for name in members(file) if name.endswith(("ledger.pem", "env.json"))}
    assert b"s3cret" not in file.read_bytes()
    found, place = put_back(file, at.folder / "other")
    assert found.left_out[0] == "keys"
    assert found.heads == 2  # by the public key, which is there
    assert own_key(place.keys) is None
    assert (place.keys / "before-restore.pub.pem").exists()


def test_what_ran_is_lost_what_waited_is_held_and_nothing_starts_again(file: Path, tmp_path: Path) -> None:
    found, place = put_back(file, tmp_path / "other")
    assert (found.lost, found.held, found.adopted) == (["2"], ["3"], [])
    store = Store(place.database)
    try:
        assert [str(job.state) for job in store.jobs()] == ["done", "failed", "held"]
        failed, held = store.jobs()[1:]
        assert "what became of it since is not known" in failed.reason
        assert failed.ended_ms == NOW_MS - 1000
        assert "`tidewatt release 3` lets it go" in held.reason
        assert held.stdout == str(place.jobs / "3" / "output.log")
        assert store.live_attempts() == []
        result = examined(store, place.heads, own_key(place.keys))
        assert (result.wrong, result.heads) == ((), 2)
        assert store.events()[-1]["kind"] == "restored"
        with store.transaction() as transaction:
            number = transaction.add_job(held)
        assert number == found.next_job == 3 + LEAST_GAP + 1
    finally:
        store.close()


def test_a_daemon_that_goes_on_from_a_backup_starts_no_job_of_then_by_itself(at: Office) -> None:
    file = taken(at)
    at.store.close()
    at.paths.home.rename(at.folder / "lost")
    restore(file, at.paths, NOW_MS, "ada")
    at.open()
    for _ in range(5):
        at.shift(3600)
    assert at.states() == "dfh"
    assert [each.id for each in at.store.attempts([2, 3])[2]] == ["2.1"]
    assert at.store.attempts([3])[3] == []
    at.changes.release("3")
    at.shift(0)
    assert at.states() == "dfr"


def test_what_still_runs_in_its_place_is_followed_again(at: Office) -> None:
    attempt = at.store.live_attempts()[0]
    folder = at.paths.job(2) / str(attempt.number)
    folder.mkdir(parents=True, exist_ok=True)
    claim.take(folder, Identity.own(), 0)
    file = taken(at)
    at.store.close()
    at.paths.home.rename(at.folder / "lost")
    found = restore(file, at.paths, NOW_MS, "ada")
    assert (found.adopted, found.lost) == (["2"], [])
    store = Store(at.paths.database)
    assert [each.id for each in store.live_attempts()] == ["2.1"]
    store.close()
    elsewhere, _ = put_back(file, at.folder / "elsewhere")
    assert (elsewhere.adopted, elsewhere.lost) == ([], ["2"])


def test_jobs_that_wait_go_on_waiting_where_that_is_asked_for(file: Path, tmp_path: Path) -> None:
    found, place = put_back(file, tmp_path / "other", go_on=True)
    assert found.held == []
    store = Store(place.database)
    assert store.jobs()[2].state is JobState.WAITING
    store.close()


def test_who_waits_for_a_lost_job_is_cancelled_with_it(at: Office) -> None:
    at.submit("after it", after=("2",))
    found, _ = put_back(taken(at), at.folder / "other")
    assert (found.lost, found.held, found.cancelled) == (["2"], ["3"], [4])


def test_a_folder_that_is_not_empty_is_left_alone(at: Office) -> None:
    file = taken(at)
    home = at.folder / "other"
    home.mkdir()
    (home / "mine").write_text("x")
    with pytest.raises(BadInput, match="is not empty"):
        put_back(file, home)
    assert [each.name for each in home.iterdir()] == ["mine"]
    with pytest.raises(BadInput, match="is there already"):
        taken(at)


def test_what_a_meter_has_made_anew_is_put_aside_and_kept(file: Path, tmp_path: Path) -> None:
    home = tmp_path / "other"
    (home / "readings").mkdir(parents=True)
    (home / "readings" / "since.jsonl").write_text("{}")
    found, place = put_back(file, home)
    assert (Path(found.aside) / "readings" / "since.jsonl").read_text() == "{}"
    assert place.database.exists()
    assert not (place.readings / "since.jsonl").exists()


def test_a_meter_that_comes_while_a_backup_is_put_back_is_put_aside_too(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, renamed = tmp_path / "other", os.rename

    def beside(source: Path, target: Path) -> None:
        monkeypatch.undo()
        (home / "readings").mkdir(parents=True)
        renamed(source, target)

    monkeypatch.setattr("tidewatt.scheduler.daemon.restoring.os.rename", beside)
    found, place = put_back(file, home)
    assert place.database.exists()
    assert (Path(found.aside) / "readings").is_dir()


def test_what_is_cut_off_or_changed_is_noticed_and_nothing_is_put_back(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    bad = tmp_path / "bad.tar"
    last = members(file)[LIST]
    for size in range(0, last.offset_data + last.size, 512 * 37):
        bad.write_bytes(whole[:size])
        with pytest.raises(BadBackup):
            put_back(bad, tmp_path / "other")
    for entry in members(file).values():
        if entry.size:
            place = entry.offset_data + entry.size // 2
            bad.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(BadBackup):
                put_back(bad, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert not [each.name for each in tmp_path.iterdir() if "restoring" in each.name]


@pytest.mark.parametrize(
    "name", ["../out", "/etc/x", "jobs/../../out", "unknown.db", "keys/../../../x", "readings/./x"]
)
def test_a_file_that_leads_out_of_the_folder_is_refused(file: Path, tmp_path: Path, name: str) -> None:
    bad = forged(tmp_path, file, tarfile.TarInfo(name), b"x")
    with pytest.raises(BadBackup):
        put_back(bad, tmp_path / "other")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_devices_pipes_and_hard_links_are_refused(file: Path, tmp_path: Path, kind: bytes) -> None:
    entry = tarfile.TarInfo("jobs/2/odd")
    entry.type, entry.linkname = kind, "tidewatt.db"
    with pytest.raises(BadBackup):
        read(forged(tmp_path, file, entry, b""))


def test_a_link_leads_no_file_elsewhere(file: Path, tmp_path: Path) -> None:
    link = tarfile.TarInfo("jobs/2/source/out")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
    inside = tarfile.TarInfo("jobs/2/source/out/caught")
    bad = forged(tmp_path, forged(tmp_path, file, link, b""), inside, b"x")
    with pytest.raises(Exception, match="cannot be written"):
        put_back(bad, tmp_path / "other")
    assert not (tmp_path / "caught").exists()


def test_a_ledger_that_was_changed_before_the_backup_is_not_put_back(at: Office) -> None:
    with at.store.transaction() as transaction:
        transaction.execute(sa.text("update event set reason = 'else' where seq = 2"))
    with pytest.raises(BadBackup, match="not what was written"):
        put_back(taken(at), at.folder / "other")
    assert not (at.folder / "other").exists()


def test_a_copy_taken_while_others_write_is_whole(at: Office) -> None:
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            with at.store.transaction() as transaction:
                transaction.append(1, "noise", {"text": "x" * 500})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = [copy(at.paths.database, at.folder / f"{number}.db") for number in range(5)]
    finally:
        over.set()
        writer.join()
    assert [each.events for each in found] == sorted(each.events for each in found)
    for number, each in enumerate(found):
        store = Store(at.folder / f"{number}.db")
        assert examined(store, at.folder / "none", None).wrong == ()
        assert (store.tip().seq, store.tip().hash) == (each.events, each.hash)
        store.close()


def test_a_disk_that_is_full_leaves_no_half_of_a_backup(at: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Exception, match="No space left on device"):
        taken(at)
    assert not [each for each in at.folder.iterdir() if "b.tar" in each.name]


def test_time_that_has_passed_is_told_in_the_history_of_decisions(file: Path, tmp_path: Path) -> None:
    _, place = put_back(file, tmp_path / "other")
    store = Store(place.database)
    [told] = history(store)
    store.close()
    assert (told.name, told.user) == ("restored", "ada")
    assert told.fixed


def forged(folder: Path, file: Path, extra: tarfile.TarInfo, content: bytes) -> Path:
    """The backup with another member, and a list that names it: made by somebody who knows how."""
    made = folder / f"forged-{file.name}"
    listed: dict[str, Any] = {}
    with tarfile.open(file) as old, tarfile.open(made, "w", format=tarfile.PAX_FORMAT) as new:
        for entry in old:
            data = old.extractfile(entry) if entry.isreg() else None
            if entry.name == LIST:
                assert data is not None
                listed = json.loads(data.read())
                continue
            new.addfile(entry, data)
        extra.size = len(content)
        new.addfile(extra, io.BytesIO(content))
        sha = hashlib.sha256(content).hexdigest()
        plain = {"sha256": sha, "bytes": len(content)}
        listed["files"][extra.name] = {"link": extra.linkname} if extra.issym() else plain
        del listed[OWN]
        own = hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()
        text = json.dumps({**listed, OWN: own}, sort_keys=True).encode()
        last = tarfile.TarInfo(LIST)
        last.size = len(text)
        new.addfile(last, io.BytesIO(text))
    return made


def test_a_file_that_is_written_anew_meanwhile_is_taken_as_it_is_then(
    at: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    shrinks = at.paths.readings / "running.json"
    shrinks.parent.mkdir(exist_ok=True)
    shrinks.write_text("x" * 100)
    looked = os.fstat

    def longer(descriptor: int) -> os.stat_result:
        found = looked(descriptor)
        if found.st_size == 100:
            shrinks.write_text("y")
        return found

    monkeypatch.setattr("tidewatt.scheduler.daemon.backup_file.os.fstat", longer)
    saved = taken(at)
    monkeypatch.undo()
    with tarfile.open(saved) as archive:
        content = archive.extractfile("readings/running.json")
        assert content is not None
        assert content.read() == b"y"
    assert read(saved)["user"] == "ada"
