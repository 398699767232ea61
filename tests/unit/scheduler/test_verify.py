"""`verify` says what holds, what does not and what it cannot tell; bad files cost a sentence, no more."""

import hashlib
import json
import os
import random
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.integration.scheduler.ledger_day import Day, day, script, settle, worked
from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.cli import main
from tidewatt.scheduler.daemon.bundles import Bundles
from tidewatt.scheduler.daemon.reporting import ended_since
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.proof import archive, bundle
from tidewatt.scheduler.proof.archive import BadBundle, packed
from tidewatt.scheduler.proof.canonical import canonical
from tidewatt.scheduler.proof.chain import Tip, label, link, seal
from tidewatt.scheduler.proof.envelope import STATEMENT, Statement, sign
from tidewatt.scheduler.proof.envelope import opened as opened_envelope
from tidewatt.scheduler.proof.keys import SigningKey, signing_key
from tidewatt.scheduler.proof.opening import Trust
from tidewatt.scheduler.proof.outcome import Outcome
from tidewatt.scheduler.proof.outputs import read
from tidewatt.scheduler.proof.verify import verify

Found = dict[str, list[str]]


@pytest.fixture(autouse=True)
def quiet() -> None:
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> Day:
    return day(tmp_path_factory.mktemp("day"), seed=3, jobs=3)


def checked(folder: Path, content: bytes, trust: Trust, *intensity: Path) -> Outcome:
    (folder / "bundle.zip").write_bytes(content)
    return verify(folder / "bundle.zip", trust, intensity)


def by_verdict(outcome: Outcome) -> Found:
    found: Found = {"holds": [], "broken": [], "open": []}
    for each in outcome.findings:
        found[each.verdict].append(each.subject)
    return found


def unzipped(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(content)) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_receipt_of_a_job_is_computed_again_from_its_readings(today: Day, tmp_path: Path) -> None:
    outcome = checked(tmp_path, today.bundles["job 2"], Trust(today.key))
    assert (outcome.kind, outcome.subject, outcome.signed_by) == ("job", "2", today.key.fingerprint)
    assert by_verdict(outcome) == {
        "holds": ["signature", "files", "chain", "order", "head", "queue", "turn", "readings", "account"],
        "broken": [],
        "open": ["queue", "idle draw"],
    }


def test_report_is_computed_again_from_its_accounts(today: Day, tmp_path: Path) -> None:
    outcome = checked(tmp_path, today.bundles["report by none"], Trust(today.key))
    assert by_verdict(outcome) == {
        "holds": ["signature", "files", "chain", "jobs", "order", "accounts", "report"],
        "broken": [],
        "open": ["head", "readings"],
    }


def test_same_day_makes_the_same_bundle_but_for_its_signatures_and_boot(today: Day) -> None:
    files = unzipped(today.bundles["job 1"])
    assert packed(files) == packed(dict(reversed(files.items())))
    assert {bundle.CHAIN, bundle.HEADS, bundle.INPUTS, bundle.KEY, bundle.RECEIPT, bundle.STATEMENT} < set(
        files
    )


def test_bundle_shows_nobody_elses_command(today: Day) -> None:
    job = unzipped(today.bundles["job 2"])[bundle.CHAIN]
    report = unzipped(today.bundles["report by none"])[bundle.CHAIN]
    assert job.count(b'"argv":["true"]') == 1
    assert b'"argv":["true"]' not in report
    assert b"run-1" not in job
    assert b"run-" not in report


def test_stranger_s_key_is_named_but_not_vouched_for(today: Day, tmp_path: Path) -> None:
    outcome = checked(tmp_path, today.bundles["job 1"], Trust())
    assert outcome.sound
    assert not outcome.vouched
    assert by_verdict(outcome)["open"] == ["signer", "idle draw"]


def test_other_key_than_the_one_expected_is_wrong(today: Day, tmp_path: Path) -> None:
    other = signing_key(tmp_path / "keys").public
    assert by_verdict(checked(tmp_path, today.bundles["job 1"], Trust(other)))["broken"] == ["signature"]


def test_ledger_that_was_written_anew_does_not_fit_a_head_got_earlier(today: Day, tmp_path: Path) -> None:
    content = today.bundles["report by none"]
    rows = [json.loads(line) for line in unzipped(content)[bundle.CHAIN].splitlines()]
    first = Tip(1, link("0" * 64, seal(rows[1])))
    assert "head" in by_verdict(checked(tmp_path, content, Trust(today.key, None, first)))["holds"]
    other = checked(tmp_path, content, Trust(today.key, None, Tip(1, "ab" * 32)))
    assert by_verdict(other)["broken"] == ["head"]
    absent = checked(tmp_path, content, Trust(today.key, None, Tip(10**6, "ab" * 32)))
    assert "head" in by_verdict(absent)["open"]


def test_events_that_were_chained_afterwards_are_told(tmp_path: Path) -> None:
    with worked(tmp_path / "day", random.Random(3), 1) as at:
        with at.store.transaction() as transaction:
            transaction.append(time_ms(at.site.clock.now()), "chain.began", {"until_seq": 1})
        for content in (
            Bundles(at.service).job("1", {}),
            Bundles(at.service).report(None, "none", "feasible"),
        ):
            found = checked(tmp_path, content, Trust()).findings
            assert any("were chained afterwards" in each.found for each in found if each.verdict == "open")


@pytest.mark.parametrize(
    "statement",
    [
        "update job set settlement = json_set(settlement, '$.energy_uj', 1)",
        "update event set reason = 'x' where seq = 1",
    ],
    ids=["row", "event"],
)
def test_store_that_somebody_changed_is_not_bundled(tmp_path: Path, statement: str) -> None:
    with worked(tmp_path / "day", random.Random(3), 1) as at:
        with closing(sqlite3.connect(at.store.name)) as connection:
            connection.execute(statement)
            connection.commit()
        with pytest.raises(Refused, match="ledger check"):
            Bundles(at.service).job("1", {})


def test_own_key_needs_no_name(today: Day, tmp_path: Path) -> None:
    outcome = checked(tmp_path, today.bundles["job 1"], Trust(None, today.key))
    assert "this host's own key" in outcome.findings[0].found


@pytest.mark.parametrize("name", ["job 1", "report by none"])
def test_series_that_may_not_be_handed_on_are_asked_of_the_reader(tmp_path: Path, name: str) -> None:
    made = day(tmp_path / "day", seed=5, jobs=2, reports=1, source="WattTime")
    content = made.bundles[name]
    assert not any(each.startswith("intensity/") for each in unzipped(content))
    without = checked(tmp_path, content, Trust(made.key))
    assert without.sound
    assert len(without.needs_key) == 2
    assert "WattTime: marginal direct CO2eq, production of DE, steps that overlap 2026-03-10" in str(
        without.needs_key
    )
    assert "accounts" in by_verdict(without)["open"] or "account" in by_verdict(without)["open"]
    own = checked(tmp_path, content, Trust(made.key), tmp_path / "day" / "grid.csv")
    assert (own.needs_key, by_verdict(own)["broken"]) == ([], [])
    assert {"account", "accounts"} & set(by_verdict(own)["holds"])


def test_recording_that_is_not_the_one_used_does_not_count(tmp_path: Path) -> None:
    made = day(tmp_path / "day", seed=5, jobs=1, reports=0, source="WattTime")
    text = (tmp_path / "day" / "grid.csv").read_text(encoding="utf-8")
    other = tmp_path / "other.csv"
    rows = text.splitlines()
    rows[1:] = [row.replace(",3600,", ",3600,1") for row in rows[1:]]
    other.write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert checked(tmp_path, made.bundles["job 1"], Trust(made.key), other).needs_key


def test_outputs_are_bound_to_the_account_of_their_job(tmp_path: Path) -> None:
    with worked(tmp_path / "day", random.Random(1), 1) as at:
        content = Bundles(at.service).job("1", {"model.pt": "ab" * 32})
    statement = json.loads(unzipped(content)[bundle.STATEMENT])
    import base64

    form = json.loads(base64.b64decode(statement["payload"]))
    assert form["_type"] == STATEMENT
    assert {"name": "output/model.pt", "digest": {"sha256": "ab" * 32}} in form["subject"]


@pytest.mark.parametrize(("since_s", "by"), [(None, "project"), (7 * 3600.0, "job"), (86_400.0, "user")])
def test_report_of_a_bundle_is_the_one_that_is_shown_with_tidewatts_own_use(
    tmp_path: Path, since_s: float | None, by: str
) -> None:
    with worked(tmp_path / "day", random.Random(6), 3) as at:
        hour_ms = time_ms(at.site.clock.now()) // 3_600_000 * 3_600_000
        for place, energy_uj in enumerate((3_600_000_000, 7_200_000_000, 7_300_000_000)):
            own = {"hour_ms": hour_ms - 3_600_000 * (2 - place // 2 * 2), "energy_uj": {"cpu": energy_uj}}
            own |= {"how": {"cpu": "modelled"}, "emissions_ug": {"average": 900_000}, "pue_micro": 1_200_000}
            own |= {"actual_ug": {"average": 800_000}, "sources": {"average": "file grid.csv"}}
            with at.store.transaction() as transaction:
                transaction.append(hour_ms, "own", own)
        shown = ended_since(at.site, at.store, since_s, by, "feasible")
        content = Bundles(at.service).report(since_s, by, "feasible")
    assert shown.own is not None
    assert json.loads(unzipped(content)[bundle.PUBLISHED]) == json.loads(shown.model_dump_json())
    assert by_verdict(checked(tmp_path, content, Trust()))["broken"] == []


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict[str, bytes]], SigningKey]:
    """Bundles of a day, and the key that its owner signs anything with."""
    folder = tmp_path_factory.mktemp("owned")
    made = day(folder, seed=11, jobs=3, reports=1)
    found = {name: unzipped(content) for name, content in made.bundles.items()}
    return found, signing_key(folder / "home" / "keys")


Rows = list[dict[str, Any]]


def later(head: dict[str, Any], rows: Rows, _inputs: dict[str, Any]) -> None:
    """The ledger is shown from after the first job's submission on."""
    first = rows.pop(0)
    head |= {"after_seq": 1, "after_hash": link("0" * 64, seal(first))}


def postdated(_head: dict[str, Any], rows: Rows, _inputs: dict[str, Any]) -> None:
    """The submission is stamped a year after its outcome."""
    submitted(rows)["time_ms"] += 365 * 86_400_000


def earlier_baseline(_head: dict[str, Any], rows: Rows, _inputs: dict[str, Any]) -> None:
    """The baseline begins four hours before the submission."""
    submitted(rows)["payload"]["frozen"]["submitted_ms"] -= 4 * 3_600_000


def early_account(_head: dict[str, Any], rows: Rows, _inputs: dict[str, Any]) -> None:
    """The account is of a time before its job's end."""
    account = next(row for row in rows if row["kind"].startswith("settlement.") and "payload" in row)
    account["payload"]["settled_at_ms"] = 1_700_000_000_000


def to_next_year(_head: dict[str, Any], _rows: Rows, inputs: dict[str, Any]) -> None:
    """The report claims to be about the time until next year, with an old head."""
    inputs["until_ms"] += 365 * 86_400_000


def idle(_head: dict[str, Any], _rows: Rows, inputs: dict[str, Any]) -> None:
    """Nearly all that a GPU drew is declared to be idle draw."""
    for draws in inputs["idle_mw"].values():
        draws |= {key: 290_000 for key in draws if key.startswith("gpu:")}


def fewer(_head: dict[str, Any], _rows: Rows, inputs: dict[str, Any]) -> None:
    """A job that came first is left out of the queue."""
    inputs["queue"] = inputs["queue"][1:]


def labelled(_head: dict[str, Any], rows: Rows, inputs: dict[str, Any]) -> None:
    """Of the job that came first nothing is shown but that there is one; it is left out of the queue."""
    inputs["queue"] = [row for row in inputs["queue"] if row["job_id"] == 2]
    for row in rows:
        if row["job_id"] == 1 and "payload" in row:
            told = label(row)
            row.clear()
            row.update(told)


def kept_back(_head: dict[str, Any], _rows: Rows, inputs: dict[str, Any]) -> None:
    """A series that may be handed on is not in the bundle, so that nothing can be computed."""
    for entry in inputs["intensity"]:
        entry.pop("file")


def relabelled(_head: dict[str, Any], _rows: Rows, inputs: dict[str, Any]) -> None:
    """A series claims to be of somebody else."""
    for entry in inputs["intensity"]:
        entry["source"] = "EIA"


def undigested(_head: dict[str, Any], _rows: Rows, inputs: dict[str, Any]) -> None:
    """The digest of a series is none."""
    inputs["intensity"][0]["sha256"] = "0" * 64


def more_energy(_head: dict[str, Any], rows: Rows, inputs: dict[str, Any]) -> None:
    """An account says more energy than its cells hold, and nobody has the intensity."""
    for entry in inputs["intensity"]:
        entry.pop("file")
        entry["source"] = "WattTime"
    for row in rows:
        if row["kind"].startswith("settlement.") and "payload" in row:
            row["payload"]["energy_uj"] += 1


def generous(_head: dict[str, Any], rows: Rows, _inputs: dict[str, Any]) -> None:
    """Tidewatt itself claims to have kept carbon out of the air."""
    own = {"hour_ms": rows[0]["time_ms"], "energy_uj": {"cpu": 10}, "actual_ug": {"average": -(10**9)}}
    last = rows[-1]
    rows.append(
        {"seq": last["seq"] + 1, "time_ms": last["time_ms"], "kind": "own", "job_id": 0, "attempt_id": ""}
        | {"reason": "", "payload": own}
    )


def submitted(rows: Rows) -> dict[str, Any]:
    return next(row for row in rows if row["kind"] == "submitted" and row["job_id"] == 2)


@pytest.mark.parametrize(
    ("name", "forgery", "subject"),
    [
        ("report by none", later, "jobs"),
        ("report by none", to_next_year, "jobs"),
        ("report by none", kept_back, "intensity"),
        ("report by none", relabelled, "intensity"),
        ("report by none", undigested, "intensity"),
        ("report by none", more_energy, "accounts"),
        ("report by none", generous, "own use"),
        ("job 2", labelled, "queue"),
        ("job 2", relabelled, "intensity"),
        ("report by none", postdated, "order"),
        ("report by none", early_account, "order"),
        ("job 2", later, "queue"),
        ("job 2", postdated, "order"),
        ("job 2", earlier_baseline, "order"),
        ("job 2", early_account, "order"),
        ("job 2", fewer, "queue"),
        ("job 2", idle, "account"),
    ],
    ids=lambda value: getattr(value, "__name__", value).replace(" ", "-"),
)
def test_what_its_owner_forged_is_seen_from_the_rest(
    tmp_path: Path,
    owned: tuple[dict[str, dict[str, bytes]], SigningKey],
    name: str,
    forgery: Callable[[dict[str, Any], Rows, dict[str, Any]], None],
    subject: str,
) -> None:
    from tests.property.scheduler.test_bundle_mutations import signed_by

    bundles, key = owned
    files = dict(bundles[name])
    head, *rows = [json.loads(line) for line in files[bundle.CHAIN].splitlines()]
    inputs = json.loads(files[bundle.INPUTS])
    forgery(head, rows, inputs)
    files[bundle.CHAIN] = b"".join(canonical(row) + b"\n" for row in (head, *rows))
    files[bundle.INPUTS] = canonical(inputs)
    if bundle.RECEIPT in files:
        accounts = [
            row["payload"] for row in rows if row["kind"].startswith("settlement.") and "payload" in row
        ]
        files[bundle.RECEIPT] = canonical(accounts[-1])
    signed_by(key, files, chain=True)
    assert subject in by_verdict(checked(tmp_path, packed(files), Trust(key.public)))["broken"]


def test_jobs_that_are_not_over_and_clocks_that_were_set_back_do_no_harm(tmp_path: Path) -> None:
    with worked(tmp_path / "day", random.Random(3), 1, hold_out=0.5) as at:
        at.backend.scripts["2.1"] = at.backend.scripts["3.1"] = script(random.Random(1), fails=True)
        for _ in range(2):
            at.submit(gpus=1, duration_s=1500.0, retries=3)
        at.wait(timedelta(minutes=-20))
        at.round()
        while at.job(2).retried == 0:
            at.wait(timedelta(minutes=1))
            at.watcher.look()
        at.changes.hold("2")
        settle(at)
        content = Bundles(at.service).report(None, "job", "feasible")
    outcome = checked(tmp_path, content, Trust())
    assert by_verdict(outcome)["broken"] == []
    assert "time" in by_verdict(outcome)["open"]


@pytest.mark.parametrize("edited", [{"pue": 1.1}, {"zones": {"average": "FR", "marginal": "FR"}}], ids=str)
def test_home_that_was_edited_while_a_job_waited_is_one_home_in_its_bundles(
    tmp_path: Path, edited: dict[str, Any]
) -> None:
    with worked(tmp_path / "day", random.Random(5), 1) as at:
        lines = (tmp_path / "day" / "grid.csv").read_text(encoding="utf-8").splitlines()
        more = [line.replace("DE,", "FR,", 1) for line in lines[1:]]
        (tmp_path / "day" / "grid.csv").write_text("\n".join(lines + more) + "\n", encoding="utf-8")
        at.submit(gpus=1, duration_s=1500.0)
        at.site = replace(at.site, stated_regions=(replace(at.site.regions[0], **edited),))
        ledger = at.service.ledger
        at.store.close()
        at.open()
        at.service.ledger = ledger
        while at.job(2).state != "done":
            at.shift(200)
        settle(at)
        bundles = Bundles(at.service).job("2", {}), Bundles(at.service).report(None, "job", "feasible")
    for content in bundles:
        assert by_verdict(checked(tmp_path, content, Trust()))["broken"] == []


def test_account_without_emissions_does_not_go_unsaid(
    tmp_path: Path, owned: tuple[dict[str, dict[str, bytes]], SigningKey]
) -> None:
    from tests.property.scheduler.test_bundle_mutations import signed_by

    bundles, key = owned
    files = dict(bundles["report by none"])
    rows = [json.loads(line) for line in files[bundle.CHAIN].splitlines()]
    account = next(
        row for row in rows if str(row.get("kind", "")).startswith("settlement.") and "payload" in row
    )
    account["kind"] = "settlement.unverified"
    account["payload"] |= {"state": "unverified", "ledgers": []}
    files[bundle.CHAIN] = b"".join(canonical(row) + b"\n" for row in rows)
    signed_by(key, files, chain=True)
    outcome = checked(tmp_path, packed(files), Trust(key.public))
    assert any("in no saving" in each.found for each in outcome.findings if each.verdict == "open")


def test_intervals_of_another_version_are_left_to_that_version_but_sums_are_not(
    tmp_path: Path, owned: tuple[dict[str, dict[str, bytes]], SigningKey]
) -> None:
    from tests.property.scheduler.test_bundle_mutations import signed_by

    bundles, key = owned
    for name, value, verdict in (("interval", {"low_g": 1.0}, "open"), ("actual_g", 1.0, "broken")):
        files = dict(bundles["report by none"])
        report = json.loads(files[bundle.PUBLISHED])
        report["total"]["signals"][0][name] = value
        files[bundle.PUBLISHED] = json.dumps(report).encode()
        signed_by(key, files, chain=True)
        same = checked(tmp_path, packed(files), Trust(key.public))
        assert "report" in by_verdict(same)["broken"]
        statement = opened_envelope(files[bundle.STATEMENT], key.public)
        claim = {**statement.predicate, "software": "tidewatt 99.0"}
        files[bundle.STATEMENT] = sign(Statement(statement.kind, statement.subjects, claim), key)
        assert "report" in by_verdict(checked(tmp_path, packed(files), Trust(key.public)))[verdict]


def test_bundle_that_calls_itself_something_else_is_told(
    tmp_path: Path, owned: tuple[dict[str, dict[str, bytes]], SigningKey]
) -> None:
    bundles, key = owned
    for name in ("job 1", "report by none"):
        files = dict(bundles[name])
        statement = opened_envelope(files[bundle.STATEMENT], key.public)
        claim = {**statement.predicate, "subject": "all sites, all years"}
        files[bundle.STATEMENT] = sign(Statement(statement.kind, statement.subjects, claim), key)
        found = by_verdict(checked(tmp_path, packed(files), Trust(key.public)))
        assert set(found["broken"]) <= {"receipt", "report"}
        assert found["broken"]


def test_lots_of_a_hold_out_are_drawn_again(tmp_path: Path) -> None:
    from tests.property.scheduler.test_bundle_mutations import signed_by

    with worked(tmp_path / "day", random.Random(1), 4, hold_out=0.5) as at:
        content = Bundles(at.service).report(None, "job", "feasible")
        key = signing_key(at.paths.keys)
    outcome = checked(tmp_path, content, Trust())
    assert by_verdict(outcome)["broken"] == []
    assert "4 lots of the hold-out as the seed gives them" in next(
        each.found for each in outcome.findings if each.subject == "lots"
    )
    files = unzipped(content)
    rows = [json.loads(line) for line in files[bundle.CHAIN].splitlines()]
    drawn = next(row for row in rows if row.get("kind") == "holdout" and row["job_id"])
    other = {"held_out": "shifted", "shifted": "held_out"}
    drawn["payload"]["arm"] = other[drawn["payload"]["arm"]]
    files[bundle.CHAIN] = b"".join(canonical(row) + b"\n" for row in rows)
    signed_by(key, files, chain=True)
    assert "lots" in by_verdict(checked(tmp_path, packed(files), Trust()))["broken"]


def test_job_without_an_account_has_no_bundle_yet(tmp_path: Path) -> None:
    with worked(tmp_path / "day", random.Random(1), 1) as at:
        at.submit(gpus=0, duration_s=60.0)
        with pytest.raises(Refused, match="not settled yet"):
            Bundles(at.service).job("2", {})
        with pytest.raises(BadInput, match="--by"):
            Bundles(at.service).report(None, "colour", "feasible")
        with pytest.raises(BadInput, match="no job has ended"):
            Bundles(at.service).report(1.0, "none", "feasible")


def test_job_cancelled_while_it_waited_for_its_next_try_is_not_lost(tmp_path: Path) -> None:
    with worked(tmp_path / "day", random.Random(2), 1) as at:
        at.backend.scripts["2.1"] = script(random.Random(1), fails=True)
        at.submit(gpus=1, duration_s=1500.0, retries=3)
        at.round()
        while at.job(2).retried == 0:
            at.wait(timedelta(minutes=1))
            at.watcher.look()
        assert at.job(2).state == "waiting"
        at.changes.cancel("2")
        settle(at)
        content = Bundles(at.service).report(None, "job", "feasible")
    outcome = checked(tmp_path, content, Trust())
    assert outcome.sound
    assert ": 2 jobs, " in next(each.found for each in outcome.findings if each.subject == "jobs")


def test_account_that_has_changed_since_is_settled_anew_for_its_bundle(tmp_path: Path) -> None:
    with worked(tmp_path / "day", random.Random(4), 2) as at:
        grid = tmp_path / "day" / "grid.csv"
        lines = grid.read_text(encoding="utf-8").splitlines()
        lines[1:] = [line.replace(",3600,", ",3600,1") for line in lines[1:]]
        before = at.job(1).settlement
        grid.write_text("\n".join(lines[:1] + [each for each in lines[1:] if _possible(each)]) + "\n")
        settle(at)
        content = Bundles(at.service).job("1", {})
        assert at.job(1).settlement != before
    assert checked(tmp_path, content, Trust()).sound


def test_receipt_whose_readings_are_gone_is_not_bundled(tmp_path: Path) -> None:
    with worked(tmp_path / "day", random.Random(4), 1) as at:
        for path in at.paths.readings.glob("*.jsonl"):
            path.unlink()
        before = at.job(1).settlement
        with pytest.raises(Refused, match="does not come out again from what is kept here"):
            Bundles(at.service).job("1", {})
        assert at.job(1).settlement == before


def test_final_receipt_stays_final_whatever_the_setting_says_since(tmp_path: Path) -> None:
    with worked(tmp_path / "day", random.Random(4), 1) as at:
        at.wait(timedelta(days=4))
        settle(at)
        assert at.job(1).settlement_state == "final"
        later = at.site.settings.model_copy(update={"final_after": timedelta(days=30)})
        at.site = replace(at.site, settings=later)
        ledger = at.service.ledger
        at.store.close()
        at.open()
        at.service.ledger = ledger
        content = Bundles(at.service).job("1", {})
    assert by_verdict(checked(tmp_path, content, Trust()))["broken"] == []


def _possible(line: str) -> bool:
    return float(line.split(",")[3]) <= 2000


def zipped(*entries: tuple[str, bytes]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries:
            file.writestr(name, content)
    return buffer.getvalue()


def doubled() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return zipped(("key.pem", b"a"), ("key.pem", b"b"))


def linked() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        entry = zipfile.ZipInfo("key.pem")
        entry.external_attr = 0o120777 << 16
        file.writestr(entry, "/etc/passwd")
    return buffer.getvalue()


def encrypted() -> bytes:
    content = bytearray(zipped(("key.pem", b"a" * 40)))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + place] |= 1
    return bytes(content)


def cut() -> bytes:
    return zipped(("key.pem", bytes(range(256)) * 40))[:-30]


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "not a zip": (lambda: b"receipt" * 100, "no zip, or a damaged one"),
    "empty": (lambda: b"", "no zip, or a damaged one"),
    "cut off": (cut, "no zip, or a damaged one"),
    "encrypted": (encrypted, "no zip, or a damaged one"),
    "without files": (lambda: zipped(), "lacks statement.json"),
    "something else": (lambda: zipped(("word/document.xml", b"<w/>")), "lacks statement.json"),
    "path": (lambda: zipped(("../../etc/cron.d/x", b"a")), "which no bundle has"),
    "absolute path": (lambda: zipped(("/etc/passwd", b"a")), "which no bundle has"),
    "backslash": (lambda: zipped(("a\\b", b"a")), "which no bundle has"),
    "hidden": (lambda: zipped((".bashrc", b"a")), "which no bundle has"),
    "folder": (lambda: zipped(("readings/", b"")), "which no bundle has"),
    "long name": (lambda: zipped(("a" * 300, b"a")), "which no bundle has"),
    "double name": (doubled, "twice"),
    "link": (linked, "which no bundle has"),
}


@pytest.mark.parametrize(("content", "told"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_file_costs_one_sentence(tmp_path: Path, content: Callable[[], bytes], told: str) -> None:
    with pytest.raises(BadBundle, match=told) as raised:
        checked(tmp_path, content(), Trust())
    assert "\n" not in str(raised.value)


def test_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 1_000_000)
    bomb = zipped(*((f"readings/{number}", bytes(200_000)) for number in range(10)))
    assert len(bomb) < 10_000
    with pytest.raises(BadBundle, match="more than a bundle can"):
        checked(tmp_path, bomb, Trust())


def test_bomb_that_lies_about_its_size_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 1_000_000)
    content = bytearray(zipped(("readings/1", bytes(5_000_000))))
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.index(mark) + place
        content[at : at + 4] = (10).to_bytes(4, "little")
    with pytest.raises(BadBundle):
        checked(tmp_path, bytes(content), Trust())


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_FILES", 5)
    with pytest.raises(BadBundle, match="5 files"):
        checked(tmp_path, zipped(*((f"a{number}", b"") for number in range(6))), Trust())


@pytest.mark.parametrize(
    "value", ["1e400", "1.5", "NaN", "9" * 5000, "[" * 5000, '"x"', "null", "{}", "99999999999999999999"]
)
@pytest.mark.parametrize("name", [bundle.INPUTS, bundle.CHAIN, bundle.RECEIPT])
def test_odd_numbers_from_a_dishonest_signer_are_told_and_do_no_harm(
    tmp_path: Path, today: Day, value: str, name: str
) -> None:
    from tests.property.scheduler.test_bundle_mutations import signed_by

    files = unzipped(today.bundles["job 1"])
    text = files[name].decode()
    place = text.index(":", text.index('_ms"')) + 1
    end = min(found for mark in ",}" if (found := text.find(mark, place)) > 0)
    files[name] = (text[:place] + value + text[end:]).encode()
    mine = signing_key(tmp_path / "keys")
    signed_by(mine, files, chain=False)
    outcome = checked(tmp_path, packed(files), Trust(mine.public))
    assert not outcome.sound


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    code = ended.value.code
    assert isinstance(code, int)
    return code


def test_command_line_says_it_all_with_its_exit_code(
    today: Day, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key.pem").write_bytes(today.key.pem)
    good, bad, none = tmp_path / "good.zip", tmp_path / "bad.zip", tmp_path / "none.zip"
    good.write_bytes(today.bundles["job 1"])
    files = unzipped(today.bundles["job 1"])
    bad.write_bytes(packed(files | {bundle.RECEIPT: files[bundle.RECEIPT] + b" "}))
    none.write_bytes(b"none")
    key = "--key", str(tmp_path / "key.pem")
    assert run("verify", str(good), *key) == 0
    said = capsys.readouterr().out
    assert "job 1" in said
    assert "nothing is wrong" in said
    assert "that the sensors were right" in said
    assert run("verify", str(bad), *key) == 1
    assert "WRONG  files: receipt.json was changed" in capsys.readouterr().out
    assert run("verify", str(none), *key) == 2
    assert "no bundle that can be read" in capsys.readouterr().err
    assert run("verify", str(tmp_path / "absent.zip")) == 2
    assert "cannot be read: No such file" in capsys.readouterr().err
    assert run("verify", str(good), "--json") == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (answer["sound"], answer["kind"], answer["subject"]) == (True, "job", "1")


def bound(tmp_path: Path) -> Path:
    """A bundle that binds two files of this folder."""
    (tmp_path / "model.bin").write_bytes(b"weights")
    (tmp_path / "log.txt").write_bytes(b"loss")
    made = [read(tmp_path / name) for name in ("model.bin", "log.txt")]
    with worked(tmp_path / "day", random.Random(1), 1) as at:
        content = Bundles(at.service).job("1", {each.name: each.sha256 for each in made})
    (tmp_path / "bound.zip").write_bytes(content)
    return tmp_path / "bound.zip"


def test_outputs_are_named_and_compared_with_files_of_the_reader(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(bound(tmp_path))
    model = hashlib.sha256(b"weights").hexdigest()
    assert run("verify", file) == 0
    told = f"open   output: model.bin is bound, no file was given to compare: sha256 {model}"
    assert told in capsys.readouterr().out
    renamed = tmp_path / "received.bin"
    renamed.write_bytes(b"weights")
    assert run("verify", file, "--output", str(renamed), "--output", str(tmp_path / "log.txt")) == 0
    said = capsys.readouterr().out
    assert f"received.bin is model.bin, which is bound, and the file given is it: sha256 {model}" in said
    assert "ok     output: log.txt is bound, and the file given is it" in said
    assert "to compare" not in said
    (tmp_path / "model.bin").write_bytes(b"other weights")
    assert run("verify", file, "--output", str(tmp_path / "model.bin"), "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["outputs"] == {"model.bin": model, "log.txt": hashlib.sha256(b"loss").hexdigest()}
    assert [each["found"] for each in answer["findings"] if each["verdict"] == "broken"] == [
        f"model.bin is bound with sha256 {model}, and the file given has "
        f"{hashlib.sha256(b'other weights').hexdigest()}"
    ]


def test_file_that_no_bundle_binds_is_wrong_and_one_that_is_not_there_costs_a_sentence(
    today: Day, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("job 1", "report by none"):
        (tmp_path / "any.zip").write_bytes(today.bundles[name])
        assert run("verify", str(tmp_path / "any.zip"), "--output", str(tmp_path / "any.zip")) == 1
        assert "any.zip is not bound" in capsys.readouterr().out
    assert run("verify", str(tmp_path / "any.zip"), "--output", str(tmp_path / "none.bin")) == 2
    assert "none.bin cannot be read: No such file" in capsys.readouterr().err
    assert run("verify", str(tmp_path / "any.zip"), "--output", str(tmp_path)) == 2
    assert "is no file that could be read whole" in capsys.readouterr().err


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_regular_file_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "odd.zip")
    assert run("verify", str(tmp_path / "odd.zip")) == 2
    assert "odd.zip is no regular file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("subject", "name"),
    [("job 1", bundle.INPUTS), ("job 1", bundle.CHAIN), ("job 1", "intensity/"),
     ("report by none", bundle.PUBLISHED)],
)  # fmt: skip
def test_name_that_is_there_twice_could_be_read_in_two_ways_and_is_refused(
    tmp_path: Path, today: Day, subject: str, name: str
) -> None:
    from tests.property.scheduler.test_bundle_mutations import signed_by

    files = unzipped(today.bundles[subject])
    found = next(each for each in sorted(files) if each.startswith(name))
    text = files[found].decode()
    field = text[1 : text.index(":")]  # its first name, once more in front of itself
    files[found] = ("{" + field + ":0," + text[1:]).encode()
    mine = signing_key(tmp_path / "keys")
    signed_by(mine, files, chain=False)
    outcome = checked(tmp_path, packed(files), Trust(mine.public))
    assert any("twice, which is not canonical" in each.found for each in outcome.findings)
    assert not outcome.sound


def test_statement_about_things_without_names_is_refused(tmp_path: Path, today: Day) -> None:
    mine = signing_key(tmp_path / "keys")
    files = unzipped(today.bundles["job 1"]) | {bundle.KEY: mine.public.pem}
    nameless: Any = {1: "ab" * 32}
    files[bundle.STATEMENT] = sign(Statement("urn:tidewatt:bundle:1", nameless, {"format": 1}), mine)
    outcome = checked(tmp_path, packed(files), Trust(mine.public))
    assert [each.found for each in outcome.findings if each.verdict == "broken"] == [
        "statement.json was not signed like this: it names things, or digests, by what is no text"
    ]


def test_name_of_an_output_does_no_harm_to_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with worked(tmp_path / "day", random.Random(1), 1) as at:
        content = Bundles(at.service).job("1", {"a\x1b[2Jb\nok     output: all": "ab" * 32})
    (tmp_path / "bound.zip").write_bytes(content)
    assert run("verify", str(tmp_path / "bound.zip")) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert not any(line.startswith("ok     output") for line in said.splitlines())
