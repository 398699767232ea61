"""Notices on their way: bounded, tried again, one digest a day, kept over restarts; and private files."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.notices.notice import Notice
from tidewatt.scheduler.notices.outbox import MOST, OWN, PAUSES_S, Letter, Outbox
from tidewatt.scheduler.notices.table import NotifyTable, own_table

NOW = datetime(2026, 11, 22, 17, 0, tzinfo=UTC)
TABLE = NotifyTable.model_validate({"urls": ["json://127.0.0.1/"]})
SECRET = "json://ada:s3cret@127.0.0.1/"


class Post:
    """Takes letters, but for the first `refusals` tries, which reach only the first of two targets."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.came: list[tuple[str, list[int] | None]] = []

    def __call__(self, to: int, table: NotifyTable, letters: Sequence[Letter]) -> list[list[int] | None]:
        self.came += [(each.title, each.left) for each in letters]
        self.refusals -= 1
        return [[1] if self.refusals >= 0 else [] for _ in letters]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC, so that no digest of a test falls on the other side of midnight."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def _notice(title: str = "job 1 is done") -> Notice:
    return Notice(("finished",), title, "Energy: 3 Wh.")


def _sent(outbox: Outbox, post: Post, now: datetime) -> bool:
    return outbox.send(lambda to: TABLE, post, now)


def test_what_was_not_delivered_is_tried_again_later_and_only_where_it_did_not_arrive() -> None:
    outbox, post = Outbox(), Post(refusals=1)
    outbox.put(_notice(), TABLE, NOW)
    assert _sent(outbox, post, NOW)
    assert not _sent(outbox, post, NOW + timedelta(seconds=PAUSES_S[0] - 1))
    assert _sent(outbox, post, NOW + timedelta(seconds=PAUSES_S[0]))
    assert post.came == [("job 1 is done", None), ("job 1 is done", [1])]
    assert (outbox.letters, outbox.lost) == ([], 0)


def test_a_target_that_stays_dead_is_given_up_and_counted() -> None:
    outbox, post = Outbox(), Post(refusals=100)
    outbox.put(_notice(), TABLE, NOW)
    tries = sum(_sent(outbox, post, NOW + timedelta(hours=3 * hour)) for hour in range(10))
    assert tries == len(PAUSES_S) + 1
    assert (outbox.letters, outbox.lost) == ([], 1)


def test_no_more_than_so_many_wait_and_the_oldest_go_first() -> None:
    outbox = Outbox()
    for number in range(MOST + 3):
        outbox.put(_notice(f"job {number}"), TABLE, NOW)
    assert (len(outbox.letters), outbox.letters[0].title, outbox.lost) == (MOST, "job 3", 3)


def test_a_clock_that_was_set_back_delays_nothing_for_good() -> None:
    outbox, post = Outbox(), Post()
    outbox.put(_notice(), TABLE, NOW + timedelta(days=400))
    _sent(outbox, post, NOW)
    assert _sent(outbox, post, NOW + timedelta(seconds=PAUSES_S[-1]))


def test_a_digest_comes_once_a_day_at_its_time_with_all_of_it() -> None:
    here = NOW.astimezone()
    table = TABLE.model_copy(update={"digest": f"{here + timedelta(hours=1):%H:%M}"})
    outbox, post = Outbox(), Post()
    for title in ("job 1 is done", "job 2 is done"):
        outbox.put(_notice(title), table, NOW)
    outbox.close_digest(OWN, table, NOW)
    assert not _sent(outbox, post, NOW)
    later = NOW + timedelta(hours=1)
    outbox.close_digest(OWN, table, later)
    (letter,) = outbox.letters
    assert letter.title == "2 notices since the last digest"
    assert "job 1 is done" in letter.body
    assert "job 2 is done" in letter.body
    outbox.put(_notice("job 3 is done"), table, later)
    outbox.close_digest(OWN, table, later + timedelta(minutes=5))
    assert len(outbox.letters) == 1
    outbox.close_digest(OWN, table, later + timedelta(days=1))
    assert len(outbox.letters) == 2


def test_the_outbox_outlives_a_restart_and_a_damaged_one_is_begun_anew(tmp_path: Path) -> None:
    outbox, path = Outbox(seq=41), tmp_path / "notices.json"
    outbox.put(_notice(), TABLE, NOW)
    outbox.ends.append((NOW.timestamp(), {"seq": 40, "kind": "job.done"}))
    outbox.keep(path)
    assert Outbox.read(path) == outbox
    assert path.stat().st_mode & 0o077 == 0
    for damage in ("", "{", "[]", '{"seq": 1}', "null"):
        path.write_text(damage, encoding="utf-8")
        assert Outbox.read(path) == Outbox()


def test_targets_are_read_only_from_files_that_nobody_else_can_read(tmp_path: Path) -> None:
    file, urls = tmp_path / "notify.toml", tmp_path / "urls"
    assert own_table(file).targets() == ()
    file.write_text('url_file = "urls"\nevents = ["failed"]\n', encoding="utf-8")
    file.chmod(0o600)
    urls.write_text(f"# mine\n{SECRET}\n\n", encoding="utf-8")
    urls.chmod(0o644)
    with pytest.raises(BadInput, match="chmod 600"):
        own_table(file).targets()
    urls.chmod(0o600)
    assert own_table(file).targets() == (SECRET,)
    file.chmod(0o644)
    with pytest.raises(BadInput, match="chmod 600"):
        own_table(file)


@pytest.mark.parametrize("text", [f'urls = "{SECRET}"', f'urls = ["{SECRET}", 1]', f'urls = ["{SECRET}"'])
def test_no_mistake_shows_a_target(tmp_path: Path, text: str) -> None:
    file = tmp_path / "notify.toml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    with pytest.raises(BadInput) as told:
        own_table(file)
    assert "s3cret" not in str(told.value)
    assert "s3cret" not in repr(TABLE.model_copy(update={"urls": ()}))
