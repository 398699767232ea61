"""Bundles of jobs and reports, for those who want to check them elsewhere; and the ledger's newest head."""

import importlib.metadata
import json
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import structlog
from fastapi import FastAPI, Query, Response

from tidewatt.backends.clock import moment, time_ms
from tidewatt.backends.meters.energy import usage
from tidewatt.backends.meters.excerpt import export
from tidewatt.backends.meters.reading import Usage
from tidewatt.forecasting.kind import Signal
from tidewatt.forecasting.series import Series
from tidewatt.scheduler.access_schema import HeadView
from tidewatt.scheduler.accounting.baseline import ReplayJob
from tidewatt.scheduler.accounting.frozen import METHOD_VERSION
from tidewatt.scheduler.accounting.receipt import Settlement
from tidewatt.scheduler.accounting.totals import SETTLED
from tidewatt.scheduler.array import parse_key
from tidewatt.scheduler.daemon import report_bundle
from tidewatt.scheduler.daemon.callers import operator_only
from tidewatt.scheduler.daemon.collecting import readings_of
from tidewatt.scheduler.daemon.ledger import Ledger
from tidewatt.scheduler.daemon.naming import named
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.settling import Case, Settler
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import SettlementState
from tidewatt.scheduler.proof import bundle, heads, intensity, lines, queue_check
from tidewatt.scheduler.proof.bundle import Content, sealed
from tidewatt.scheduler.proof.canonical import canonical
from tidewatt.scheduler.proof.chain import EMPTY, Tip
from tidewatt.scheduler.proof.differences import differences
from tidewatt.scheduler.proof.heads import Head
from tidewatt.scheduler.proof.intensity import Observations, Recorder
from tidewatt.scheduler.proof.job_case import SETTLED as SETTLEMENT
from tidewatt.scheduler.proof.job_case import JobCase, account, up_to
from tidewatt.scheduler.proof.lines import WHOLE, Shown
from tidewatt.scheduler.store.records import JobRecord

log = structlog.get_logger()
MOST_HEADS = 400  # earlier heads of a bundle
SLACK_MS = 60_000  # between the ends of a job and of its readings
ZIP = "application/zip"


class Bundles:
    """What accounts stand on, gathered from store, readings and grid."""

    def __init__(self, service: Service) -> None:
        self._site, self._store, self._service = service.site, service.store, service

    @property
    def ledger(self) -> Ledger:
        """The daemon's ledger.

        Raises:
            Refused: where it keeps none.
        """
        if self._service.ledger is None:
            raise Refused(
                "this daemon keeps no ledger: start it again with `tidewatt down` and `tidewatt up`"
            )
        return self._service.ledger

    def job(self, key: str, outputs: Mapping[str, str]) -> bytes:
        """The bundle of a settled job; `outputs` are digests of what it made, by name.

        Raises:
            BadInput: where there is no such job, or the key names an array.
            Refused: where it is not settled yet.
        """
        jobs = named(parse_key(key), self._store)
        if len(jobs) != 1:
            raise BadInput(f"array {key} has {len(jobs)} tasks with a receipt each: name one, as {key}_0")
        job = jobs[0]
        if job.settlement is None or job.settlement_state is SettlementState.NONE:
            raise Refused(
                f"job {key} is not settled yet: its receipt comes when it has ended and its grid is known"
            )
        with TemporaryDirectory(prefix="tidewatt-bundle-") as folder:
            return self._sealed(job, outputs, Path(folder))

    def report(self, since_s: float | None, by: str, baseline: str) -> bytes:
        """The bundle of a report over the jobs that ended in the last `since_s` seconds, or ever.

        Raises:
            BadInput: where none ended then, or such a report is not made.
        """
        operator_only("bundle reports, which are over everybody's jobs")
        head, _ = self.ledger.sign()
        case = report_bundle.asked(self._site, since_s, by or "none", baseline or "feasible", head)
        found = report_bundle.gathered(self._site, self._store, case, head)
        content = Content(
            bundle.REPORT,
            case.subject,
            {**found.inputs, **self._replay()},
            found.chain,
            found.files,
            _software(),
            {},
        )
        return self._signed(content, head, self._earlier(EMPTY, head, found.numbers))

    def _signed(self, content: Content, head: Head, earlier: list[bytes]) -> bytes:
        """The bundle, unless its stretch of the ledger does not lead to the head that was signed.

        Raises:
            Refused: where an event in it was changed.
        """
        if lines.read(content.chain).end != head.tip:
            raise Refused("events were changed: `tidewatt ledger check` says which; nothing is bundled")
        return sealed(content, head, earlier, self.ledger.key)

    def _sealed(self, job: JobRecord, outputs: Mapping[str, str], folder: Path) -> bytes:
        gathered = _Gathered(partial(readings_of, self._site.paths), folder)
        case, record, recorder = self._settled(job, gathered)
        told, files = intensity.written(recorder.answers())
        queue = up_to(case.queue, job.id)
        inputs = replace(self._inputs(job, case, queue), idle_mw=gathered.idle_mw)
        told_inputs = inputs.form() | {"intensity": told, **self._replay()}
        head, _ = self.ledger.sign()
        numbers = {job.id, *(each.job_id for each in queue)}

        def choice(event: Mapping[str, Any]) -> Shown | None:
            return WHOLE if event["job_id"] == job.id else queue_check.shown(event)

        window_ms = job.submitted_ms - queue_check.REPLAYED_MS
        before = self._before(min(self._store.first_event(numbers), self._store.last_before(window_ms)))
        own = [event["seq"] for event in case.events]
        content = Content(
            bundle.JOB,
            job.key,
            told_inputs,
            lines.written(self._store.chain(before.seq, head.seq), before, choice),
            {**files, **gathered.files(), bundle.RECEIPT: canonical(record)},
            _software(),
            outputs,
        )
        return self._signed(content, head, self._earlier(before, head, own))

    def _replay(self) -> dict[str, int]:
        """How many times as fast recorded time is replayed, in thousandths; nothing where time is real."""
        clock = self._site.clock
        return {"replay_factor_milli": round(clock.factor * 1000)} if clock.replaying else {}

    def _settled(self, job: JobRecord, gathered: "_Gathered") -> tuple[Case, Mapping[str, Any], Recorder]:
        """What the account is made from, and the account; one that has changed since is made anew."""
        assert job.settlement is not None  # noqa: S101 - the caller has looked
        settler = Settler(self._site, self._store)
        case = settler.case(job)
        told = [each for each in case.events if each["kind"].startswith(SETTLEMENT)]
        if not told or canonical(told[-1]["payload"]) != canonical(job.settlement):
            changed = f"the account of job {job.key} is not what its newest event says"
            raise Refused(f"{changed}: see `tidewatt ledger check`; nothing is bundled")
        found, recorder = self._account(job, case, gathered, job.settlement["settled_at_ms"])
        wrong = differences(job.settlement, json.loads(canonical(found.record())))
        if not wrong or job.settlement["method_version"] != METHOD_VERSION:
            return case, job.settlement, recorder
        now_ms = time_ms(self._site.clock.now())
        found, recorder = self._account(job, case, gathered, now_ms)
        if job.settlement_state is not SettlementState.PROVISIONAL or found.state not in SETTLED:
            raise Refused(
                f"the receipt of job {job.key} does not come out again from what is kept here ({wrong[0]}): "
                "its readings or its grid's data are gone, or were changed"
            )
        with self._store.transaction() as transaction:
            transaction.set_settlement(job.id, found.state, found.record(), now_ms)
        return case, found.record(), recorder

    def _account(
        self, job: JobRecord, case: Case, gathered: "_Gathered", settled_ms: int
    ) -> tuple[Settlement, Recorder]:
        recorder = Recorder(self._observations(moment(settled_ms)))
        inputs = self._inputs(job, case, up_to(case.queue, job.id))
        return account(inputs, case.events, gathered.usage, recorder, settled_ms), recorder

    def _inputs(self, job: JobRecord, case: Case, queue: tuple[ReplayJob, ...]) -> JobCase:
        settings = self._site.settings
        final_after_ms = round(self._site.final_after.total_seconds() * 1000)
        if job.settlement_state is SettlementState.FINAL and job.settlement is not None:
            age_ms = job.settlement["settled_at_ms"] - (job.ended_ms or 0)
            final_after_ms = min(
                final_after_ms, age_ms - SLACK_MS
            )  # final then, whatever the setting says since
        unverified_after_ms = round(settings.unverified_after.total_seconds() * 1000)
        return JobCase(
            job.id, job.key, queue, case.efficiencies, {}, max(0, final_after_ms), unverified_after_ms
        )

    def _observations(self, now: datetime) -> Observations:
        """Observed intensity as it was known then."""

        def observations(zone: str, signal: str, start: datetime, end: datetime) -> Series | None:
            return self._site.chain.observations(zone, Signal(signal), start, end, now)

        return observations

    def _before(self, seq: int) -> Tip:
        return Tip(seq - 1, self._store.hash_of(seq - 1))

    def _earlier(self, before: Tip, head: Head, seqs: Sequence[int]) -> list[bytes]:
        """Of the heads signed until now, the first one at or after each of these events, but the newest."""
        kept = [
            (each, line)
            for each, line in heads.kept(self._site.paths.heads, self.ledger.key.public)
            if before.seq < each.seq < head.seq
        ]
        numbers = [each.seq for each, _ in kept]
        places = {bisect_left(numbers, seq) for seq in seqs}
        wanted = {numbers[place] for place in places if place < len(numbers)}
        found = {each.seq: line for each, line in kept if each.seq in wanted}
        return [found[seq] for seq in sorted(found)][-MOST_HEADS:]


class _Gathered:
    """Readings of attempts as they are asked for, copied below a folder of our own."""

    def __init__(self, readings: Callable[[str], Path], folder: Path) -> None:
        self._readings, self._folder = readings, folder
        self._usages: dict[str, Usage] = {}

    def usage(self, attempt_id: str, gpu_uuids: Sequence[str], start_ms: int, end_ms: int) -> Usage:
        """What an attempt used; its readings are copied."""
        if attempt_id not in self._usages:
            readings = self._readings(attempt_id)
            self._usages[attempt_id] = usage(readings, attempt_id, gpu_uuids, start_ms, end_ms)
            export(readings, self._folder / attempt_id, start_ms, end_ms, attempt_id)
        return self._usages[attempt_id]

    @property
    def idle_mw(self) -> dict[str, Mapping[str, int]]:
        """The idle draws that were used, by attempt and device."""
        return {attempt_id: dict(each.idle_mw) for attempt_id, each in self._usages.items()}

    def files(self) -> dict[str, bytes]:
        """The copied readings by their names in a bundle."""
        return {
            f"{bundle.READINGS}{path.relative_to(self._folder).as_posix()}": path.read_bytes()
            for path in sorted(self._folder.rglob("*"))
            if path.is_file()
        }


def routes(api: FastAPI, service: Service) -> None:
    """Adds the paths of bundles and of the ledger."""
    bundles = Bundles(service)

    archive: dict[str, Any] = {
        "response_class": Response,
        "responses": {200: {"content": {ZIP: {"schema": {"type": "string", "format": "binary"}}}}},
    }

    @api.get("/api/v1/bundle/job/{key}", **archive)
    def job(key: str, output: Annotated[list[str] | None, Query()] = None) -> Response:
        return Response(bundles.job(key, _outputs(output or [])), media_type=ZIP)

    @api.get("/api/v1/bundle/report", **archive)
    def report(since_s: float | None = None, by: str = "", baseline: str = "") -> Response:
        return Response(bundles.report(since_s, by, baseline), media_type=ZIP)

    @api.get("/api/v1/ledger/head")
    def head() -> HeadView:
        """Signs where the ledger stands now."""
        found, line = bundles.ledger.sign()
        public = bundles.ledger.key.public
        return HeadView(
            seq=found.seq,
            hash=found.hash,
            time_ms=found.time_ms,
            fingerprint=public.fingerprint,
            key=public.pem.decode(),
            envelope=json.loads(line),
            troubles=tuple(bundles.ledger.troubles()),
        )


def _software() -> str:
    return f"tidewatt {importlib.metadata.version('tidewatt')}"


def _outputs(given: Sequence[str]) -> dict[str, str]:
    """Digests by name, from `DIGEST:NAME`."""
    found = {}
    for each in given:
        digest, _, name = each.partition(":")
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef") or not name:
            raise BadInput(f"{each!r} is no output: write its SHA-256, a colon and its name")
        found[name] = digest
    return found
