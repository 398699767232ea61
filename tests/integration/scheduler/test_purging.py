"""What tells of people goes, every number stays, and nobody can hide an event by calling it purged."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from tests.integration.scheduler.ledger_day import worked
from tests.integration.scheduler.office import Office, office
from tidewatt.scheduler.daemon.bundles import Bundles
from tidewatt.scheduler.daemon.callers import Caller, asking, user_name
from tidewatt.scheduler.daemon.ledger import Ledger
from tidewatt.scheduler.daemon.purging import Purging
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.proof import heads, purged
from tidewatt.scheduler.proof.canonical import digest
from tidewatt.scheduler.proof.chain import seal
from tidewatt.scheduler.proof.keys import verifying_key
from tidewatt.scheduler.proof.opening import Trust
from tidewatt.scheduler.proof.outcome import Outcome
from tidewatt.scheduler.proof.verify import verify
from tidewatt.scheduler.purge_schema import PurgeReply, PurgeRequest
from tidewatt.scheduler.request_schema import RerunRequest
from tidewatt.scheduler.store import schema
from tidewatt.scheduler.store.ledger import Examined, examined

ME = user_name()
SECRETS = (b"run-1", b"hush-project-label", b"the-very-command")


@contextmanager
def day(folder: Path) -> Iterator[Office]:
    """Two settled jobs with words that should go, and one that waits."""
    with worked(folder, random.Random(5), 2) as at:
        at.submit("the-very-command", labels={"case": "hush-project-label"}, duration_s=60.0)
        at.shift(0)
        at.shift(61)
        (at.paths.job(3) / "output.log").write_text("the-very-command says hush-project-label")
        (at.paths.job(3) / "source.diff").write_text("+ hush-project-label")
        at.submit("waits", hold=True)
        yield at


def purge(at: Office, **asked: Any) -> PurgeReply:
    return Purging(at.service).purge(PurgeRequest(**asked))


def checked(at: Office) -> Examined:
    key = verifying_key(at.paths.keys / "ledger.pub.pem")
    return examined(at.store, at.paths.heads, key)


def verified(at: Office, content: bytes) -> Outcome:
    file = at.folder / "bundle.zip"
    file.write_bytes(content)
    return verify(file, Trust(own=verifying_key(at.paths.keys / "ledger.pub.pem")))


def found(outcome: Outcome, subject: str) -> list[str]:
    return [each.found for each in outcome.findings if each.subject == subject]


def everything(at: Office) -> bytes:
    """All that lies in the state folder."""
    return b"".join(each.read_bytes() for each in sorted(at.paths.home.rglob("*")) if each.is_file())


def test_words_go_and_numbers_chain_receipts_and_bundles_stay(tmp_path: Path) -> None:
    with day(tmp_path) as at:
        made = Bundles(at.service)
        accounts = [job.settlement for job in at.store.jobs()]
        totals = at.store.accounts_since(0)
        before = made.job("1", {})
        assert all(secret in everything(at) for secret in SECRETS)
        reply = purge(at, user=ME)
        assert (reply.jobs, len(reply.purges)) == (3, 1)
        assert [secret for secret in SECRETS if secret in everything(at)] == []
        assert not (at.paths.job(3) / "source.diff").exists()
        assert any("1 jobs of" in each and "have not ended" in each for each in reply.stays)
        assert at.job(4).argv == ("waits",)
        assert [job.user for job in at.store.jobs()] == ["purged"] * 3 + [ME]
        assert [job.settlement for job in at.store.jobs()] == accounts
        assert [each.settlement for each in at.store.accounts_since(0)] == [
            each.settlement for each in totals
        ]
        result = checked(at)
        assert result.wrong == ()
        last = heads.last(at.paths.heads, verifying_key(at.paths.keys / "ledger.pub.pem"))
        assert last is not None
        assert last.seq >= reply.purges[-1]  # who purged it is signed
        assert [str(each).startswith(f"by {ME} on ") for each in result.purges] == [True]
        for name, content in (("job", made.job("1", {})), ("report", made.report(None, "user", "feasible"))):
            outcome = verified(at, content)
            assert outcome.sound, (name, [each for each in outcome.findings if each.verdict == "broken"])
            [sentence] = found(outcome, "purged")
            assert f"by {ME} on" in sentence
        assert found(verified(at, before), "purged") == []
        assert verified(at, before).sound
        with pytest.raises(Refused, match="was purged"):
            at.service.rerun("1", RerunRequest())
        assert purge(at, user=ME).jobs == 0
        assert checked(at).wrong == ()


def test_a_dry_run_changes_nothing_and_says_the_same(tmp_path: Path) -> None:
    with day(tmp_path) as at:
        seq, content = at.store.newest(), everything(at)
        would = purge(at, older_than_s=0, dry_run=True)
        assert at.store.newest() == seq
        assert all(secret in content and secret in everything(at) for secret in SECRETS)
        did = purge(at, older_than_s=0)
        assert (would.jobs, would.events, would.files) == (did.jobs, did.events, did.files)
        assert would.purges == ()
        assert at.store.newest() == seq + 1


def test_only_what_is_old_enough_goes_and_only_logs_or_paths_where_that_is_asked(tmp_path: Path) -> None:
    with day(tmp_path) as at:
        assert purge(at, older_than_s=3 * 3600.0, dry_run=True).jobs == 2
        reply = purge(at, user=ME, logs=True)
        assert (reply.jobs, reply.files, reply.events) == (1, 1, 0)
        assert not (at.paths.job(3) / "output.log").exists()
        assert (at.paths.job(3) / "source.diff").exists()
        assert at.job(3).argv == ("the-very-command",)
        purge(at, user=ME, paths=True)
        assert (at.job(3).cwd, at.job(3).argv) == ("", ("the-very-command",))
        assert checked(at).wrong == ()


def test_nothing_is_hidden_by_calling_it_purged(tmp_path: Path) -> None:
    """Whoever has the database can take a word out and leave its digest: the chain holds, and it is told."""
    with day(tmp_path) as at:
        with hidden(at, submission(at, 3), "argv"):
            assert any("no later event says who purged it" in each for each in checked(at).wrong)
        reply = purge(at, user=ME)
        assert checked(at).wrong == ()
        for name in ("frozen", "gpus", "duration_ms"):
            with hidden(at, submission(at, 1), name):
                assert any(f"lacks '{name}', which is never purged" in each for each in checked(at).wrong)
                if name == "gpus":
                    outcome = verified(at, Bundles(at.service).job("1", {}))
                    assert not outcome.sound
                    assert "lacks 'gpus', which is never purged" in found(outcome, "account")[0]
        with at.store.transaction() as transaction:
            transaction.append(at.store.events()[-1]["time_ms"], "warning", job_id=3, reason="it was late")
        later = at.store.events()[-1]
        with hidden(at, later, ""):
            assert any(f"event {later['seq']} is not whole" in each for each in checked(at).wrong)
        [told] = [each for each in at.store.events() if each["seq"] == reply.purges[0]]
        with hidden(at, told, "user"):
            assert any("which tells of a purge, is not whole" in each for each in checked(at).wrong)
        assert checked(at).wrong == ()


def test_the_daemon_itself_tells_of_what_nobody_answers_for(tmp_path: Path) -> None:
    with day(tmp_path) as at, hidden(at, submission(at, 3), "argv"):
        ledger = Ledger(at.site, at.store)
        ledger.turn()
        assert any("no later event says who purged it" in each for each in ledger.troubles())


def test_only_root_of_a_shared_server_purges_and_nobody_purges_everything_by_mistake(tmp_path: Path) -> None:
    with office(tmp_path) as at:
        for operator in (False, True):
            bob = Caller(1001, 1001, frozenset(), "bob", operator)
            with asking(bob), pytest.raises(Refused, match="only"):
                purge(at, user=ME)
        with pytest.raises(BadInput, match="say what to purge"):
            purge(at)


def submission(at: Office, number: int) -> dict[str, Any]:
    return next(each for each in at.store.events(number) if each["kind"] == "submitted")


@contextmanager
def hidden(at: Office, event: dict[str, Any], name: str) -> Iterator[None]:
    """What somebody with the database can do: a field is gone, its digest stays, and the chain holds."""
    value = event["reason"] if name == "" else event["payload"][name]
    payload = {key: each for key, each in event["payload"].items() if key != name}
    changed = {"payload": payload, "hidden": {**(event["hidden"] or {}), name: digest(value)}}
    store(at, event, changed | ({"reason": ""} if name == "" else {}))
    yield
    store(at, event, {key: event[key] for key in ("payload", "reason", "hidden")})


def store(at: Office, event: dict[str, Any], values: dict[str, Any]) -> None:
    with at.store.transaction() as transaction:
        table = schema.event
        transaction.execute(sa.update(table).where(table.c.seq == event["seq"]).values(values))


WORDS = st.dictionaries(
    st.sampled_from([*sorted(purged.NAMES | purged.PATHS | purged.WORDS), "frozen", "start_ms"]),
    st.text(max_size=5) | st.integers(0, 9) | st.lists(st.text(max_size=3), max_size=2),
)


@given(WORDS, st.text(max_size=5), st.lists(st.frozensets(st.sampled_from(sorted(purged.PURGEABLE)))))
def test_an_event_keeps_its_seal_whatever_is_purged_of_it_and_in_however_many_steps(
    payload: dict[str, Any], reason: str, steps: list[frozenset[str]]
) -> None:
    event: dict[str, Any] = {
        "seq": 1, "time_ms": 2, "kind": "plan", "job_id": 3, "attempt_id": "", "reason": reason,
        "payload": payload, "hidden": None,
    }  # fmt: skip
    before = seal(event)
    for fields in steps:
        event |= purged.purge(event, fields)
        assert seal(event) == before
        assert not fields & {name for name, value in event["payload"].items() if value not in ("", [], {})}
        assert json.dumps(event["payload"])
    assert {name for name in payload if name not in purged.PURGEABLE} <= set(event["payload"])
