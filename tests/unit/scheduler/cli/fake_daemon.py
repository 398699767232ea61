"""A stand-in for the daemon on a real Unix socket: answers with the messages that the daemon answers with."""

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tidewatt.scheduler.request_schema import (
    PlanReply,
    PlanRequest,
    RerunRequest,
    SlackOffer,
    SubmitReply,
    SubmitRequest,
    UpdateRequest,
)
from tidewatt.scheduler.schemas import ArrayView, AttemptView, JobView, Message, PlanView, Problem
from tidewatt.scheduler.status_schema import RegionView, StatusView

NOW = datetime(2026, 11, 22, 17, 0, tzinfo=UTC)
PLAN = PlanView(
    region="local",
    pool="A100",
    start=NOW + timedelta(hours=8),
    end=NOW + timedelta(hours=11),
    why="cleanest",
    reason="waits 8 h for cleaner electricity",
    signal="average",
    note="",
    mean_gco2_per_kwh=210.0,
    immediate_start=NOW,
    immediate_gco2_per_kwh=420.0,
    expected_g=630.0,
    immediate_g=1260.0,
    sources=("file de.csv, issued 16:00", "mean of the same hours"),
)
OFFERS = (
    SlackOffer(slack_h=6, start=NOW, saving_percent=12.0),
    SlackOffer(slack_h=24, start=NOW, saving_percent=None),
)


def job(job_id: int = 1, **changes: Any) -> JobView:
    """A waiting job."""
    values: dict[str, Any] = {
            "id": job_id, "name": "bert", "state": "waiting", "since": NOW, "reason": "", "user": "ada",
            "project": "", "labels": {}, "argv": ("python", "train.py"), "cwd": "/work", "submitted": NOW,
            "finish_by": None, "start_by": None, "duration_s": 3600.0, "duration_source": "yours",
            "time_limit_s": None, "gpus": 1, "gpu_kind": "", "cpus": 1, "mem_mb": 0, "stdout": "",
            "stderr": "", "plan": PLAN, "at_risk": "", "warnings": (), "attempts": (), "settlement": None,
        "commit": "",
    }  # fmt: skip
    return JobView(**values | changes)


def array_view(*jobs: JobView, **changes: Any) -> ArrayView:
    """An array of these tasks, waiting."""
    counts = {state: [each.state for each in jobs].count(state) for state in {each.state for each in jobs}}
    values: dict[str, Any] = {
        "id": 7, "key": "7", "name": "sweep", "state": "waiting", "reason": "", "size": len(jobs), "limit": 0,
        "tasks": counts, "start": NOW + timedelta(hours=8), "end": NOW + timedelta(hours=20),
        "expected_g": 500.0, "immediate_g": 1000.0, "jobs": jobs,
    }  # fmt: skip
    return ArrayView(**values | changes)


def attempt(exit_code: int | None = 0, signal: int | None = None) -> AttemptView:
    """An attempt that has ended."""
    return AttemptView(
        attempt_id="1.1", state="ended", region="local", gpu_uuids=(), launched=NOW, started=NOW, ended=NOW,
        exit_code=exit_code, signal=signal, reason="",
    )  # fmt: skip


def status_view(**changes: Any) -> StatusView:
    """A daemon with one region and nothing to do."""
    region = RegionView(
        name="local", zone="DE", signal="average", gco2_per_kwh=420.0, intensity_source="file de.csv", gpus=2,
        gpus_free=1, cpus=8, cpus_free=6, pue=1.0, pue_source="assumed", home=True,
    )  # fmt: skip
    values: dict[str, Any] = {
            "version": "0.1.0", "pid": 1, "home": "/state", "socket": "/run/s", "listen": "", "now": NOW,
            "replay_factor": 1.0, "replaying": False, "hindsight": False, "zone": "DE", "signal": "both",
            "regions": (region,), "foreign": (), "jobs": {}, "running": (), "next": None, "at_risk": (),
            "warnings": (),
    }  # fmt: skip
    return StatusView(**values | changes)


@dataclass
class FakeDaemon:
    """Answers as the daemon does, from what a test puts here; remembers what it was asked.

    `script` holds, by job, the views that successive questions get; the last one stays.
    """

    status: StatusView = field(default_factory=status_view)
    jobs: dict[int, JobView] = field(default_factory=dict)
    script: dict[int, list[JobView]] = field(default_factory=dict)
    arrays: dict[str, JobView | ArrayView] = field(default_factory=dict)  # what is called by other keys
    refusal: Problem | None = None
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    report: Any = None
    answers: dict[str, dict[str, Any]] = field(
        default_factory=dict
    )  # to other questions, by their first word
    submitted: list[SubmitRequest] = field(default_factory=list)
    on_question: Callable[[], object] = lambda: None

    def answer(self, method: str, target: str, body: Any) -> Message | dict[str, Any]:
        """The message for a request; a Problem for what is refused."""
        self.asked.append((method, target, body))
        self.on_question()
        url = urlsplit(target)
        parts = url.path.removeprefix("/api/v1/").split("/")
        if self.refusal is not None and method != "GET":
            return self.refusal
        if method == "GET" and parts[0] in self.answers:
            return self.answers[parts[0]]
        match method, parts:
            case "GET", ["status"]:
                return self.status
            case "GET", ["jobs"]:
                states = [name for name in parse_qs(url.query).get("state", [""])[0].split(",") if name]
                found = [each for each in self.jobs.values() if not states or each.state in states]
                return {"jobs": [each.model_dump(mode="json") for each in found]}
            case "POST", ["jobs"]:
                return self._submit(SubmitRequest.model_validate(body))
            case "POST", ["plan"]:
                PlanRequest.model_validate(body)
                return PlanReply(
                    plan=PLAN, offers=OFFERS, power_w=300, power_source="assumed", duration_s=10800,
                    duration_source="yours",
                )  # fmt: skip
            case "GET", ["report"]:
                return dict(self.report)
            case _, ["jobs", key, *_] if key in self.arrays:
                return self.arrays[key]
            case _, ["jobs", number, *verb]:
                return self._job(method, int(number), verb, body)
        return Problem(title="not found", status=404, detail=f"no {target}")

    def _submit(self, request: SubmitRequest) -> SubmitReply:
        self.submitted.append(request)
        state = "held" if request.hold else "waiting"
        new = job(7, argv=request.argv, name=request.name, finish_by=request.finish_by, state=state)
        if 7 in self.jobs:
            new = self.jobs[7]
        self.jobs[7] = new
        array = array_view(size=len(request.array)) if request.array else None
        return SubmitReply(
            job=new, offers=OFFERS, power_w=4.0, power_source="assumed: half of 8 W", array=array
        )

    def _job(self, method: str, number: int, verb: list[str], body: Any) -> Message:
        if number in self.script:
            views = self.script[number]
            return views.pop(0) if len(views) > 1 else views[0]
        if number not in self.jobs:
            return Problem(title="not found", status=404, detail=f"there is no job {number}")
        if method == "PATCH":
            UpdateRequest.model_validate(body)
        if verb == ["rerun"]:
            RerunRequest.model_validate(body)
            old = self.jobs[number]
            return SubmitReply(job=old, offers=(), power_w=4.0, power_source="assumed: half of 8 W")
        return self.jobs[number]


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def serving(fake: FakeDaemon, path: Path) -> Iterator[None]:
    """Lets the stand-in answer on a socket."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            message = fake.answer(self.command, self.path, body)
            text = json.dumps(message) if isinstance(message, dict) else message.model_dump_json()
            self.send_response(message.status if isinstance(message, Problem) else 200)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - names that http.server looks for

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with _Server(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            path.unlink(missing_ok=True)
