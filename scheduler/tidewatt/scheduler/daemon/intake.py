"""Takes submitted jobs in: their files first, then their rows and plans in one transaction."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tidewatt.backends import durable, environment
from tidewatt.backends.backend import BackendError, Owner
from tidewatt.backends.clock import time_ms
from tidewatt.backends.owner import acting_as
from tidewatt.scheduler.accounting.frozen import Frozen
from tidewatt.scheduler.accounting.holdout import Lot
from tidewatt.scheduler.array import check_size
from tidewatt.scheduler.daemon.callers import current, no_root, user_name
from tidewatt.scheduler.daemon.ownership import check_folder, hand_over, snapshot, submitter
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.jobs import JobState, SettlementState
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.pausing_schema import record_of
from tidewatt.scheduler.plan import Ask, Plan
from tidewatt.scheduler.request_schema import SubmitRequest
from tidewatt.scheduler.store import Transaction
from tidewatt.scheduler.store.records import JobRecord, kind_record

STAGING = ".new-"  # folders of jobs that are not stored yet; swept when the daemon starts
OUTPUT = "output.log"
_SNAPSHOT = "snapshot.path"  # which of the files is the folder of the copy
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NAME, _PATH, _MOST_LABELS = 200, 4096, 64
_MOST_ARGUMENTS = 6 << 20  # what execve(2) of Linux takes at most, with its environment
_SURROGATE = re.compile(r"[\ud800-\udfff]")  # what a byte that is no UTF-8 becomes in a command line


def check(request: SubmitRequest, paths: Paths) -> None:
    """Refuses what could not be run or shown, in one sentence.

    Raises:
        BadInput: for a folder that is not there, a command that cannot be kept, a name that cannot be shown.
    """
    check_names(request.name, request.project)
    check_size(request.array)
    if any("\0" in word for word in request.argv) or not request.argv[0]:
        raise BadInput("the command is empty or has a zero byte in it: write it after `--`")
    if any("\0" in path for path in (request.cwd, request.stdout, request.stderr)):
        raise BadInput("a path has a zero byte in it, which no system takes: choose another one")
    if any(_SURROGATE.search(word) for word in (*request.argv, request.cwd, request.stdout, request.stderr)):
        raise BadInput(
            "the command or a path is not text in UTF-8: rename the file, or wrap it into a script"
        )
    _check_lengths(request)
    no_root()
    check_folder(request.cwd, submitter(paths))


def _check_lengths(request: SubmitRequest) -> None:
    """Refuses what no system could run, or nobody could read: all of it is kept for ever."""
    if sum(len(os.fsencode(word)) + 1 for word in request.argv) > _MOST_ARGUMENTS:
        raise BadInput("the command has more than 6 MB, which no system runs: put its words into a file")
    if any(len(os.fsencode(path)) > _PATH for path in (request.cwd, request.stdout, request.stderr)):
        raise BadInput(f"a path has over {_PATH} bytes, which no system takes: choose a shorter one")
    labels = [*request.labels, *request.labels.values()]
    if len(request.labels) > _MOST_LABELS or any(len(each) > _NAME for each in labels):
        raise BadInput(f"a job has at most {_MOST_LABELS} labels of {_NAME} letters: leave some out")
    if any(_FORBIDDEN.search(each) for each in labels):
        raise BadInput("a label has control characters: choose a plainer one")


def check_names(name: str | None, project: str | None) -> None:
    """Refuses names that would not fit a line of a table."""
    for what, text in (("name", name or ""), ("project", project or "")):
        if _FORBIDDEN.search(text) or len(text) > _NAME:
            raise BadInput(
                f"the {what} {text[:40]!r} has control characters or over 200 letters: choose a plainer one"
            )


@contextmanager
def staged(site: Site, request: SubmitRequest) -> Iterator[Path]:
    """A folder with the job's environment, difference and snapshot, to be renamed when the job has a number.

    All tasks of an array share them.

    Raises:
        BadInput: where a snapshot was asked for and cannot be taken.
    """
    folder, who = None, submitter(site.paths)
    try:
        folder = Path(tempfile.mkdtemp(prefix=STAGING, dir=site.paths.jobs))
        hand_over(folder, who)
        with acting_as(who):
            if request.env is not None:
                kept = environment.select(request.env, None, False, site.settings.env_deny)
                environment.write(folder / "env.json", kept)
            if request.source is not None and request.source.diff:
                (folder / "source.diff").write_text(
                    request.source.diff, encoding="utf-8", errors="surrogateescape"
                )
        if request.snapshot:
            copied = snapshot(Path(request.cwd), folder / "source", who).relative_to(folder)
            with acting_as(who):
                _note(folder / _SNAPSHOT, str(copied))
        yield folder
    except BackendError as error:
        raise BadInput(str(error)) from error
    except OSError as error:
        raise BadInput(
            f"the job's files cannot be written below {site.paths.jobs}: {error.strerror}"
        ) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def store_jobs(
    transaction: Transaction,
    site: Site,
    request: SubmitRequest,
    ask: Ask,
    predecessors: tuple[tuple[int, ...], tuple[int, ...]],
    plans: Sequence[Plan | None],
    lots: Sequence[Lot | None],
    folder: Path,
    *,
    sync: bool = True,
) -> list[int]:
    """Stores the job, or all tasks of the array, with lots and plans; gives the staged folder its number.

    Without `sync` the caller sees to it that the folders' names are durable before the transaction is.
    """
    done, ended = predecessors
    common = replace(_record(site, request, ask), after=done, after_any=ended)
    numbers: list[int] = []
    for task, plan, lot in zip(request.array or (0,), plans, lots, strict=True):
        first = numbers[0] if numbers else 0
        record = replace(common, array=first, array_task=task) if request.array else common
        if lot is not None:
            record = replace(record, frozen={**record.frozen, "lot": lot.record()})
        job_id = transaction.add_job(record)
        if request.array and not numbers:  # its own number is that of the array
            record = replace(record, array=job_id)
        _take(site.paths.job(job_id), None if numbers else folder, submitter(site.paths))
        numbers.append(job_id)
        record = replace(record, id=job_id)
        _tell(transaction, request, record)
        if lot is not None:  # before its plan
            transaction.append(record.submitted_ms, "holdout", lot.record(), job_id=job_id)
        if plan is not None and not request.hold:
            record = replace(record, plan=replace(plan, job_id=job_id))
            transaction.tell_plan(job_id, replace(plan, job_id=job_id), time_ms(ask.submitted), "submitted")
        transaction.change_job(job_id, plan=record.plan, array=record.array, **_places(site, request, record))
    if sync:
        sync_names(site.paths.jobs)
    return numbers


def record(site: Site, request: SubmitRequest, ask: Ask, number: int, plan: Plan) -> JobRecord:
    """The job as it would be stored by that number."""
    made = replace(_record(site, request, ask), id=number, plan=replace(plan, job_id=number))
    if request.array:
        made = replace(made, array=number, array_task=request.array[0])
    stdout, stderr = _outputs(request, site.paths.job(number), made)
    return replace(made, stdout=stdout, stderr=stderr)


def _take(home: Path, folder: Path | None, who: Owner | None) -> None:
    """Makes the job's folder, of the staged one for the first; what a crash left there is nobody's."""
    shutil.rmtree(home, ignore_errors=True)
    if folder is None:
        home.mkdir(mode=0o700)
        hand_over(home, who)
    else:
        folder.rename(home)


def _tell(transaction: Transaction, request: SubmitRequest, record: JobRecord) -> None:
    """Appends the event of the submission."""
    told = {**_told(record), "frozen": record.frozen}
    if request.notify is not None:
        told["notify"] = list(request.notify)
    reason = "held" if request.hold else ""
    transaction.append(record.submitted_ms, "submitted", told, job_id=record.id, reason=reason)


def _places(site: Site, request: SubmitRequest, record: JobRecord) -> dict[str, Any]:
    """Where everything of a job that has its number is."""
    stdout, stderr = _outputs(request, site.paths.job(record.id), record)
    source = dict(record.source)
    if request.snapshot:
        first = site.paths.job(record.array or record.id)
        with acting_as(submitter(site.paths)):
            copied = durable.read_bytes(first / _SNAPSHOT, _PATH) or b""
        source["snapshot"] = str(first / copied.decode(errors="replace"))
    return {"stdout": stdout, "stderr": stderr, "source": source}


def _record(site: Site, request: SubmitRequest, ask: Ask) -> JobRecord:
    home = site.home
    now_ms = time_ms(ask.submitted)
    frozen = Frozen(
        home.name,
        home.zones,
        home.pue,
        home.pue_source,
        ask.submitted,
        site.settings.shown_signal,
        gpus=request.gpus,
        home_pools={pool.name: pool.gpus for pool in home.pools},
        home_cpus=home.cpus,
        home_mem_mb=home.mem_mb,
    )
    source = {} if request.source is None else request.source.model_dump(exclude={"diff"})
    return JobRecord(
        id=0,
        state=JobState.HELD if request.hold else JobState.WAITING,
        since_ms=now_ms,
        reason="held at submit: `tidewatt release` lets it go" if request.hold else "",
        user=user_name(),
        uid=_uid(),
        name=request.name or _FORBIDDEN.sub("?", Path(request.argv[0]).name),
        project=request.project,
        labels=request.labels,
        argv=request.argv,
        cwd=request.cwd,
        stdout="",
        stderr="",
        outputs={"stdout": request.stdout, "stderr": request.stderr},
        submitted_ms=now_ms,
        finish_by_ms=None if ask.finish_by is None else time_ms(ask.finish_by),
        start_by_ms=None if ask.start_by is None else time_ms(ask.start_by),
        duration_ms=round(ask.duration.total_seconds() * 1000),
        duration_source=ask.duration_source,
        time_limit_ms=None if request.time_limit_s is None else round(request.time_limit_s * 1000),
        gpus=request.gpus,
        gpu_kind=request.gpu_kind,
        cpus=request.cpus,
        mem_mb=request.mem_mb,
        regions=request.regions,
        exclude_regions=request.exclude_regions,
        late=request.late,
        asked=False,
        stopping=False,
        power_mw=round(ask.power_w * 1000),
        power_source=ask.power_source,
        source=source,
        snapshot=request.snapshot,
        umask=request.umask,
        keeps_env=request.env is not None,
        frozen=frozen.record(),
        plan=None,
        at_risk="",
        warnings=(),
        ended_ms=None,
        settlement_state=SettlementState.NONE,
        settlement=None,
        array_size=len(request.array),
        array_limit=request.array_limit if request.array else 0,
        priority=request.priority,
        retries=request.retries,
        kinds=ask.kinds,
        data_mb=round(request.data_gb * 1000),
        guard_ms=None if ask.guard_duration is None else round(ask.guard_duration.total_seconds() * 1000),
        estimate_ms=None if request.duration_s is None else round(request.duration_s * 1000),
        pausing=None if request.pausing is None else record_of(request.pausing),
    )


def _uid() -> int | None:
    """The system user that the job runs as; None for the daemon's own."""
    caller = current()
    return None if caller is None else caller.uid


def _told(record: JobRecord) -> Mapping[str, Any]:
    """What the event of a submission holds besides the frozen baseline: integers and strings."""
    known = {
        "finish_by_ms": record.finish_by_ms,
        "start_by_ms": record.start_by_ms,
        "time_limit_ms": record.time_limit_ms,
        "guard_ms": record.guard_ms,
        "estimate_ms": record.estimate_ms,
        "pausing": record.pausing,
    }
    array = {
        "array": record.array,
        "array_task": record.array_task,
        "array_size": record.array_size,
        "array_limit": record.array_limit,
    }
    counts = {
        "priority": record.priority,
        "retries": record.retries,
        "data_mb": record.data_mb,
    }
    lists = {
        "after": list(record.after),
        "after_any": list(record.after_any),
        "kinds": [kind_record(kind) for kind in record.kinds],
    }
    return {
        "user": record.user,
        "name": record.name,
        "project": record.project,
        "argv": list(record.argv),
        "duration_ms": record.duration_ms,
        "duration_source": record.duration_source,
        "gpus": record.gpus,
        "gpu_kind": record.gpu_kind,
        "cpus": record.cpus,
        "mem_mb": record.mem_mb,
        "commit": str(record.source.get("commit", "")),
        "source_digest": str(record.source.get("digest", "")),
        **{key: value for key, value in known.items() if value is not None},
        **(array if record.array else {}),
        **{key: value for key, value in {**counts, **lists}.items() if value},
    }


def _note(path: Path, text: str) -> None:
    """Writes a new file; the user, whose programs have worked in its folder, may have made one already.

    Raises:
        OSError: It is there: were it a pipe, writing to it would never end.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, durable.MODE), "w", encoding="utf-8") as file:
        file.write(text)


def _outputs(request: SubmitRequest, home: Path, record: JobRecord) -> tuple[str, str]:
    """Absolute paths of both outputs, one alone is for both.

    `%j` stands for the number of the job or of its array, `%a` for that of the task.
    """
    number, task = str(record.array or record.id), str(record.array_task)

    def place(given: str) -> str:
        return str(Path(request.cwd) / given.replace("%j", number).replace("%a", task))

    stdout = place(request.stdout) if request.stdout else str(home / OUTPUT)
    return stdout, place(request.stderr) if request.stderr else stdout


def sync_names(folder: Path) -> None:
    """Makes the new names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
