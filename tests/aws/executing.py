"""moto's server, where jobs of AWS Batch really run, as processes of this machine.

`.engines/bin/python executing.py PORT`. moto itself calls a job done as soon as it is submitted; here it goes
through the states of Batch, its command runs in a folder of its own with the container's variables, its
output goes to CloudWatch, terminating it sends SIGTERM and, after a while, SIGKILL.
A job that is terminated for the reason `reclaim` loses its instance as spot ones do.
"""

import datetime
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

from moto.batch.models import BatchBackend, Job  # type: ignore[import-not-found]
from moto.batch_simple.models import BatchSimpleBackend  # type: ignore[import-not-found]
from moto.core.config import default_user_config  # type: ignore[import-not-found]
from moto.server import main  # type: ignore[import-not-found]

KILL_AFTER_S = float(os.environ.get("KILL_AFTER_S", "3"))


def begin(self: BatchSimpleBackend, include_start_attempt: bool, job: Job) -> None:
    """In the place of marking it finished."""
    self.backend._jobs[job.job_id] = job
    job.status = "RUNNABLE"
    job.log_stream_name = job._stream_name
    threading.Thread(target=run, args=(job,), daemon=True).start()


def run(job: Any) -> None:
    """From RUNNABLE to its end."""
    time.sleep(0.05)
    if job.stop:
        finish(job, None, job.job_stopped_reason or "terminated")
        return
    job.status = "STARTING"
    values = {each["name"]: each["value"] for each in job._get_container_property("environment", [])}
    command = job._get_container_property("command", [])
    log = tempfile.TemporaryFile()  # noqa: SIM115 - it goes with the thread
    folder = tempfile.mkdtemp(prefix="container-", dir=os.environ["CONTAINERS"])
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **values}, stdout=log, stderr=log, start_new_session=True
    )
    job.job_started_at = datetime.datetime.now()  # noqa: DTZ005 - as moto keeps it
    job.status = "RUNNING"
    killed_at = float("inf")
    while process.poll() is None:
        if job.stop and killed_at == float("inf"):
            killed_at = time.monotonic() + KILL_AFTER_S
            process.send_signal(signal.SIGTERM)  # as a container's first process gets it, and no other
        if time.monotonic() > killed_at:
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(0.02)
    log.seek(0)
    write(job, log.read().decode(errors="replace"))
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    finish(job, code, job.job_stopped_reason or ("Essential container in task exited" if code else ""))


def write(job: Any, text: str) -> None:
    """Its output, in CloudWatch."""
    logs = job._log_backend
    if job._log_group not in logs.groups:
        logs.create_log_group(job._log_group, None)
    logs.create_log_stream(job._log_group, job._stream_name)
    now_ms = time.time_ns() // 1_000_000
    events = [{"timestamp": now_ms, "message": line} for line in text.splitlines()]
    if events:
        logs.put_log_events(job._log_group, job._stream_name, events)


def finish(job: Any, code: int | None, reason: str) -> None:
    """Its last state."""
    job.exit_code = code
    job.job_stopped_reason = reason or None
    job.job_stopped_at = datetime.datetime.now()  # noqa: DTZ005 - as moto keeps it
    job.job_stopped = True
    job.status = "SUCCEEDED" if code == 0 and not job.stop else "FAILED"


def end(self: BatchBackend, job_id: str, reason: str) -> None:
    """Terminates or cancels a job; `reclaim` takes its instance away."""
    job: Any = self.get_job_by_id(job_id)
    if job is not None and not job.job_stopped and not job.stop:
        reclaimed = reason == "reclaim"
        job.job_stopped_reason = (
            "Host EC2 (instance i-0123456789abcdef0) terminated." if reclaimed else reason
        )
        job.stop = True


described = Job.describe


def describe(self: Any) -> dict[str, Any]:
    """As Batch says it: with the exit code beside the stream, and times only where there are some."""
    found: dict[str, Any] = described(self)
    if self.exit_code is not None:
        found.setdefault("container", {})["exitCode"] = self.exit_code
    if self.job_started_at.year == 1970:
        found.pop("startedAt", None)
    needs = self.container_overrides.get("resourceRequirements")
    if needs:
        found["container"]["resourceRequirements"] = needs
    return found


if __name__ == "__main__":
    BatchSimpleBackend._mark_job_as_finished = begin
    BatchBackend.terminate_job = end
    BatchBackend.cancel_job = end
    Job.describe = describe
    default_user_config["batch"] = {"use_docker": False}
    main(["-H", "127.0.0.1", "-p", sys.argv[1]])
