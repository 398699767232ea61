"""Trying a configuration on what was submitted before: in a process of its own, one at a time."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING

from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.daemon import rule_file
from tidewatt.scheduler.daemon.callers import operator_only
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.errors import BadInput, Refused, SchedulerError
from tidewatt.scheduler.settings_record import record
from tidewatt.scheduler.trial_file import standing
from tidewatt.scheduler.try_schema import TryReply, TryRequest

if TYPE_CHECKING:
    from fastapi import FastAPI

PATIENCE_S = 1800.0
MODULE = "tidewatt.scheduler.trying"


class Trying:
    """Starts the process, and waits for its answer."""

    _busy = threading.Lock()  # of the whole daemon: the page and the interface share it

    def __init__(self, service: Service) -> None:
        self._site = service.site

    def tried(self, request: TryRequest) -> TryReply:
        """What would have changed.

        Raises:
            BadInput: for a configuration that cannot be taken, or a history that cannot be replayed.
            Refused: where whoever asks is no operator, or another try is under way.
        """
        operator_only("try a configuration on what everybody submitted")
        if request.rules:
            request = self._whole(request)
        with standing(request.text, request.name):
            pass  # what is wrong with it is said before any process is started
        if not self._busy.acquire(blocking=False):
            raise Refused("another try is under way: wait until that one has answered")
        try:
            return self._answered(request)
        finally:
            self._busy.release()

    def _whole(self, request: TryRequest) -> TryRequest:
        """The present file with these rules in the place of its own."""
        path = self._site.reload().path if self._site.reload is not None else None
        if path is None:
            raise Refused("this daemon was started without a configuration file: send a whole one")
        whole = rule_file.read(path).with_rules(request.text)
        return request.model_copy(update={"text": whole, "rules": False, "name": str(path)})

    def _answered(self, request: TryRequest) -> TryReply:
        site = self._site
        asked = {
            "request": request.model_dump(mode="json"),
            "in_force": record(site.board.settings),
            "host": asdict(site.host),
            "home": str(site.paths.home),
            "now_ms": time_ms(site.clock.now()),
        }
        try:
            done = subprocess.run(
                [sys.executable, "-m", MODULE],
                input=json.dumps(asked),
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        except subprocess.TimeoutExpired:
            raise Refused(
                f"the replay took longer than {PATIENCE_S / 60:g} minutes: look back less far with --since"
            ) from None
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise SchedulerError(f"the replay failed: {last}") from None
        if "error" in answer:
            raise (BadInput if answer["exit_code"] == 2 else Refused)(answer["error"])
        return TryReply.model_validate(answer)


def routes(api: "FastAPI", service: Service) -> None:
    """Adds `policy/try` to the interface."""
    trying = Trying(service)

    @api.post("/api/v1/policy/try")
    def tried(request: TryRequest) -> TryReply:
        """Replays the last jobs under another configuration; nothing is put in force."""
        return trying.tried(request)
