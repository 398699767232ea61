"""Tells active runs of MLflow and of Weights & Biases which job they are, and at the end what was counted.

Neither is ever imported here: a training script that uses one has loaded it. What may need a network is done
by a thread, so that a training waits for none of it but two seconds at its end.

MLflow 3.17: `mlflow.active_run()`, `MlflowClient().log_batch(run_id, metrics, params, tags)`; a run that is
over takes tags and metrics still. W&B 0.31: `wandb.run`, its `config.update(…, allow_val_change=True)` and
`summary.update(…)`; a run that is over takes nothing.
"""

from __future__ import annotations

import atexit
import os
import sys
import time

TYPE_CHECKING = False  # importing `typing` for it would take longer than all of the rest
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

TOLD = {
    "job": "TIDEWATT_JOB_ID",
    "attempt": "TIDEWATT_ATTEMPT",
    "region": "TIDEWATT_JOB_REGION",
    "zone": "TIDEWATT_JOB_ZONE",
    "planned_window": "TIDEWATT_JOB_WINDOW",
}
_PATIENCE_S = 2.0


class Trackers:
    """The runs of this process. `counts` is asked for what was counted when they are told of the end."""

    def __init__(self, counts: Callable[[], dict[str, int]]) -> None:
        self._count = counts
        self._began = time.monotonic()
        self._pid = os.getpid()
        self._mlflow_run = ""
        self._wandb_run: Any = None
        self._post: Any = None
        self._posted: Any = None

    def greet(self) -> None:
        """Tags the runs that are active now and were not yet."""
        try:
            self._greet_mlflow()
            self._greet_wandb()
        except Exception as error:  # other people's programs: no trouble of theirs may reach the training
            _log_trouble(error)

    def end(self) -> None:
        """Adds what was counted to the runs; safe to repeat, as counts grow."""
        if os.getpid() != self._pid:
            return
        told: dict[str, float] = {**self._count(), "seconds": round(time.monotonic() - self._began, 3)}
        try:
            if self._wandb_run is not None:
                self._wandb_run.summary.update({"tidewatt": told})
        except Exception:  # it is over, or its service is gone
            self._wandb_run = None
        if self._mlflow_run:
            self._send(metrics={f"tidewatt.{name}": value for name, value in told.items()})
            self._posted.wait(_PATIENCE_S)

    def _greet_mlflow(self) -> None:
        mlflow = sys.modules.get("mlflow")
        active = None if self._mlflow_run or mlflow is None else mlflow.active_run()
        if active is not None:
            self._mlflow_run = str(active.info.run_id)
            self._send(tags={f"tidewatt.{name}": value for name, value in told().items()})
            atexit.register(self.end)

    def _greet_wandb(self) -> None:
        run = getattr(sys.modules.get("wandb"), "run", None)
        if run is None or run is self._wandb_run:
            return
        self._wandb_run = run
        run.config.update({"tidewatt": told()}, allow_val_change=True)
        atexit.register(self.end)  # after W&B's own, so that it comes before it

    def _send(self, tags: dict[str, str] | None = None, metrics: dict[str, float] | None = None) -> None:
        """Hands it to the thread that talks to MLflow, which the first call starts."""
        import threading
        from _queue import SimpleQueue

        if self._post is None:
            self._post = SimpleQueue()
            threading.Thread(target=self._talk, name="tidewatt-mlflow", daemon=True).start()
        self._posted = threading.Event()
        self._post.put((tags or {}, metrics or {}, self._posted))

    def _talk(self) -> None:
        while True:
            tags, metrics, posted = self._post.get()
            try:
                self._log(tags, metrics)
            except Exception as error:  # no server, no right, another version: the training does not care
                _log_trouble(error)
            finally:
                posted.set()

    def _log(self, tags: dict[str, str], metrics: dict[str, float]) -> None:
        mlflow = sys.modules["mlflow"]
        entities = mlflow.entities
        now_ms = time.time_ns() // 1_000_000
        mlflow.MlflowClient().log_batch(
            self._mlflow_run,
            metrics=[entities.Metric(name, value, now_ms, 0) for name, value in metrics.items()],
            tags=[entities.RunTag(name, value) for name, value in tags.items()],
        )


def _log_trouble(error: Exception) -> None:
    import logging

    logging.getLogger("tidewatt.hooks").info("a tracker of runs could not be told: %r", error)


def told() -> dict[str, str]:
    """What the job's environment says of it."""
    return {name: os.environ[variable] for name, variable in TOLD.items() if os.environ.get(variable)}
