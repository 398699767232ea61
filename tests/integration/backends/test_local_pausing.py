"""Jobs of this host that are paused and go on: by standing still, and by checkpoint."""

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tidewatt.backends import checkpoint, claim, moves, pausing
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import (
    AttemptStatus,
    BackendError,
    Launch,
    PauseMode,
    PauseTerms,
    Phase,
    StopReason,
)
from tidewatt.backends.local import LocalBackend
from tidewatt.backends.processes import Tree
from tidewatt.backends.standstill import stands

if TYPE_CHECKING:
    from tests.integration.backends.conftest import Stage

CYCLES = int(os.environ.get("TIDEWATT_SOAK_STOPS", "10"))
PAUSED = [Phase.PAUSING, Phase.SUSPENDED, Phase.RESUMING, Phase.RUNNING]
# Counts up, says how far it is, and saves when it is told to; `SAVE_S` is how long that takes.
TRAINING = """
import json, os, signal, sys, time
folder = os.environ["TIDEWATT_CHECKPOINT_DIR"]
os.makedirs(folder, exist_ok=True)
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
step, until = 0, int(sys.argv[1])
if os.environ.get("TIDEWATT_RESUME") == "1":
    step = json.load(open(os.environ["TIDEWATT_CHECKPOINT"]))["step"]
def save():
    name = os.path.join(folder, f"step-{step}.json")
    with open(name, "w") as file:
        file.write('{"step": ')
        file.flush()
        time.sleep(float(os.environ.get("SAVE_S", "0")))
        file.write(f"{step}}}")
print("from", step, *sys.argv[2:], flush=True)
while step < until:
    if told:
        save()
        print("saved", step, flush=True)
        sys.exit(85)
    step += 1
    with open("steps", "a") as file:
        file.write(f"{step}\\n")
    time.sleep(0.01)
print("done", step, flush=True)
"""
TERMS = PauseTerms(grace_s=10.0, exit_codes=(85,), file="step-*.json", folder="kept")


def training(stage: "Stage", steps: int = 100_000, number: int = 1, **more: Any) -> Launch:
    (stage.root / "train.py").write_text(TRAINING)
    out = stage.root / "1.1.out"
    given: dict[str, Any] = {
        "pausing": TERMS,
        "stdout": out,
        "stderr": out,
        "grace_s": 5.0,
        "attempt_id": f"1.{number}",
    }
    return stage.launch(sys.executable, "train.py", str(steps), **(given | more))


def started(stage: "Stage", launch: Launch) -> Path:
    """The folder of an attempt whose training has begun."""
    before = stage.output().count("from") if (stage.root / "1.1.out").exists() else 0
    stage.backend.submit(launch)
    stage.see(launch.folder, lambda _: (stage.root / "1.1.out").exists() and began(stage) > before)
    return launch.folder


def began(stage: "Stage") -> int:
    return stage.output().count("from")


def backend(stage: "Stage") -> LocalBackend:
    assert isinstance(stage.backend, LocalBackend)
    return stage.backend


def members(folder: Path) -> list[Any]:
    taken = claim.read(folder)
    assert taken is not None
    assert taken.process is not None
    return Tree(taken.process, folder).members()


def paused(stage: "Stage", folder: Path) -> AttemptStatus:
    backend(stage).pause(folder, PauseMode.CHECKPOINT)
    return stage.ended(folder)


def kept(folder: Path) -> checkpoint.Checkpoint:
    found = checkpoint.read(folder)
    assert found is not None
    return found


def phases(status: AttemptStatus) -> list[Phase]:
    return [move.phase for move in status.moves]


def test_stopped_job_stands_still_with_all_it_started_and_goes_on(local: "Stage") -> None:
    script = "setsid sh -c 'while :; do echo x >> other; sleep 0.02; done' & echo ready; "
    folder = local.submit("sh", "-c", script + "while :; do echo x >> own; sleep 0.02; done")
    local.await_output("ready")
    local.see(folder, lambda _: len(members(folder)) >= 3 and (local.root / "other").exists())
    backend(local).pause(folder, PauseMode.STOP)
    status = local.until(folder, Phase.SUSPENDED)
    assert phases(status) == [Phase.PAUSING, Phase.SUSPENDED]
    local.wait(lambda: all(stands(process) for process in members(folder)))  # one was perhaps just ending
    sizes = [(local.root / name).stat().st_size for name in ("own", "other")]
    time.sleep(0.2)
    assert [(local.root / name).stat().st_size for name in ("own", "other")] == sizes
    backend(local).resume(folder)
    status = local.see(folder, lambda status: phases(status) == PAUSED)
    assert status.phase is Phase.RUNNING
    local.see(folder, lambda _: (local.root / "other").stat().st_size > sizes[1])
    backend(local).stop(folder, StopReason.CANCELLED)
    ended = local.ended(folder)
    assert phases(ended) == PAUSED
    times = [move.at_ms for move in ended.moves]
    assert times == sorted(set(times))
    assert ended.ended_ms is not None
    assert ended.ended_ms >= times[-1]


def test_time_limit_does_not_run_while_a_job_stands(local: "Stage") -> None:
    folder = local.submit("sleep", "60", time_limit_s=1.5, grace_s=1.0)
    local.until(folder, Phase.RUNNING)
    backend(local).pause(folder, PauseMode.STOP)
    local.until(folder, Phase.SUSPENDED)
    time.sleep(2.0)  # longer than its limit
    assert local.status(folder).phase is Phase.SUSPENDED
    local.kill_supervisor(folder)
    local.see(folder, lambda _: Attempt(folder).supervisor() is not None)
    backend(local).resume(folder)
    status = local.ended(folder)
    assert status.stopped is StopReason.TIME_LIMIT
    suspended, resumed = status.moves[1], status.moves[3]
    assert status.started_ms is not None
    assert status.ended_ms is not None
    ran_ms = status.ended_ms - status.started_ms - (resumed.at_ms - suspended.at_ms)
    assert 1_400 <= ran_ms < 4_000


def test_job_that_stands_is_cancelled_without_going_on_for_long(local: "Stage") -> None:
    folder = local.submit("sh", "-c", "echo ready; sleep 60", grace_s=5.0)
    local.await_output("ready")
    backend(local).pause(folder, PauseMode.STOP)
    local.until(folder, Phase.SUSPENDED)
    backend(local).stop(folder, StopReason.CANCELLED)
    status = local.ended(folder)
    assert status.stopped is StopReason.CANCELLED
    assert phases(status) == [Phase.PAUSING, Phase.SUSPENDED, Phase.RESUMING]


def test_job_that_stands_is_adopted_and_resumed_by_the_next_supervisor(local: "Stage") -> None:
    folder = local.submit("sh", "-c", "echo ready; until test -e go; do sleep 0.02; done; exit 6")
    local.await_output("ready")
    backend(local).pause(folder, PauseMode.STOP)
    local.until(folder, Phase.SUSPENDED)
    local.kill_supervisor(folder)
    (local.root / "go").touch()
    assert local.status(folder).phase is Phase.SUSPENDED
    local.see(folder, lambda _: Attempt(folder).supervisor() is not None)
    assert all(stands(process) for process in members(folder))
    backend(local).resume(folder)
    status = local.ended(folder)
    assert status.exit_code == 6 or "exit status lost" in status.reason  # as the kernel can tell
    assert phases(status) == PAUSED


def test_pause_that_was_asked_for_without_a_supervisor_comes_with_the_next_one(local: "Stage") -> None:
    folder = local.submit("sh", "-c", "echo ready; sleep 60")
    local.await_output("ready")
    local.kill_supervisor(folder)
    another = LocalBackend()  # nor is the daemon the same
    another.pause(folder, PauseMode.STOP)
    local.until(folder, Phase.SUSPENDED)


def test_job_in_the_middle_of_a_stop_is_ended_by_the_next_supervisor(local: "Stage") -> None:
    script = "(setsid sh -c 'echo other; sleep 60' &); echo ready; sleep 60"
    folder = local.submit("sh", "-c", script, grace_s=20.0)
    local.await_output("ready")
    local.await_output("other")
    local.kill_supervisor(folder)
    launch = Attempt(folder).launch()
    assert launch is not None
    moves.append(folder, Phase.PAUSING, launch.clock)  # so far the supervisor had come, and stopped them
    for process in members(folder):
        process.send(signal.SIGSTOP)
    begun = time.monotonic()
    local.backend.stop(folder, StopReason.CANCELLED)
    assert local.ended(folder).stopped is StopReason.CANCELLED
    assert time.monotonic() - begun < 15, "they heard the stop signal, and were not killed after the grace"


def test_pause_that_was_taken_back_at_once_leaves_the_job_running(local: "Stage") -> None:
    folder = local.submit("sh", "-c", "echo ready; sleep 60")
    local.await_output("ready")
    for _ in range(3):
        backend(local).pause(folder, PauseMode.STOP)
        backend(local).resume(folder)
    local.see(folder, lambda status: len(status.moves) % 4 == 0 and status.phase is Phase.RUNNING)
    local.see(folder, lambda _: not any(stands(process) for process in members(folder)))


def test_job_that_somebody_else_continued_is_stopped_again(local: "Stage") -> None:
    folder = local.submit("sh", "-c", "echo ready; sleep 60")
    local.await_output("ready")
    backend(local).pause(folder, PauseMode.STOP)
    local.until(folder, Phase.SUSPENDED)
    for process in members(folder):
        process.send(signal.SIGCONT)
    supervisor = Attempt(folder).supervisor()
    assert supervisor is not None
    supervisor.send(signal.SIGHUP)  # sooner than it would have looked
    local.see(folder, lambda _: all(stands(process) for process in members(folder)))


def test_signal_reaches_the_processes_of_the_job(local: "Stage") -> None:
    folder = local.submit(
        "sh", "-c", "trap 'echo heard; exit 9' USR1; echo ready; while :; do sleep 0.05; done"
    )
    local.await_output("ready")
    with pytest.raises(BackendError, match="no signal"):
        backend(local).signal(folder, "NOPE")
    backend(local).signal(folder, "USR1")
    assert local.ended(folder).exit_code in (9, None)
    assert "heard" in local.output()
    with pytest.raises(BackendError, match="not run any more"):
        backend(local).signal(folder, "USR1")


def test_job_paused_by_checkpoint_goes_on_where_it_was(local: "Stage") -> None:
    folder = started(local, training(local))
    status = paused(local, folder)
    assert (status.stopped, status.exit_code) == (StopReason.PAUSED, 85)
    assert phases(status) == [Phase.PAUSING]
    found = kept(folder)
    assert found.whole
    assert found.digest
    assert status.started_ms is not None
    assert status.started_ms <= found.at_ms <= (status.ended_ms or 0)
    terms = replace(TERMS, resume_args=("--from", "{checkpoint}"), resume_env={"AGAIN": "yes"})
    again = started(local, training(local, number=2, resumes=folder, pausing=terms))
    saved = local.output().split("saved ")[1].split()[0]
    assert f"from {saved} --from {found.path}\n" in local.output()
    backend(local).stop(again, StopReason.CANCELLED)
    local.ended(again)


def test_job_is_done_that_ends_before_it_is_asked_to_save(local: "Stage") -> None:
    launch = training(local, steps=1)
    folder = launch.folder
    local.backend.submit(launch)
    local.until(folder, Phase.ENDED)
    with pytest.raises(BackendError, match="not run any more"):
        backend(local).pause(folder, PauseMode.CHECKPOINT)
    assert local.status(folder).stopped is None


def test_job_with_an_exit_code_of_its_own_for_pauses_is_done_with_zero(local: "Stage") -> None:
    script = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); "
    script += "print('ready', flush=True); [signal.pause() for _ in range(9)]"
    folder = local.submit(sys.executable, "-c", script, pausing=replace(TERMS, file="", folder=""))
    local.await_output("ready")
    status = paused(local, folder)
    assert (status.exit_code, status.stopped) == (0, None)
    assert checkpoint.read(folder) is None


def test_job_without_a_way_to_save_is_refused_before_anything_is_signalled(local: "Stage") -> None:
    folder = local.submit("sh", "-c", "echo ready; sleep 60")
    deaf = local.submit("sh", "-c", "echo ready; sleep 60", attempt_id="2.1", pausing=TERMS)
    local.await_output("ready")
    local.await_output("ready", "2.1")
    with pytest.raises(BackendError, match="not submitted with a way to save"):
        backend(local).pause(folder, PauseMode.CHECKPOINT)
    with pytest.raises(BackendError, match="listens to SIGTERM"):
        backend(local).pause(deaf, PauseMode.CHECKPOINT)
    assert local.status(deaf).moves == ()
    assert all(process.alive() for process in members(deaf))


def test_deaf_job_that_may_start_anew_is_ended(local: "Stage") -> None:
    terms = replace(TERMS, grace_s=0.3, anew=True)
    folder = local.submit("sh", "-c", "echo ready; sleep 60", pausing=terms)
    local.await_output("ready")
    status = paused(local, folder)
    assert status.stopped is StopReason.PAUSED
    assert "starts anew" in status.reason
    assert not kept(folder).whole


def test_checkpoint_that_takes_longer_than_its_time_is_not_whole(local: "Stage") -> None:
    launch = training(local, pausing=replace(TERMS, grace_s=0.5), grace_s=0.5, variables={"SAVE_S": "30"})
    status = paused(local, started(local, launch))
    assert (status.stopped, status.signal) == (StopReason.PAUSED, 9)
    assert "no whole checkpoint" in status.reason
    assert kept(launch.folder).good is None


def test_job_goes_on_from_the_last_good_checkpoint_where_the_newest_is_cut_off(local: "Stage") -> None:
    first = started(local, training(local))
    paused(local, first)
    good = kept(first)
    slow: dict[str, Any] = {
        "pausing": replace(TERMS, grace_s=0.5),
        "grace_s": 0.5,
        "variables": {"SAVE_S": "30"},
    }
    second = started(local, training(local, number=2, resumes=first, **slow))
    status = paused(local, second)
    assert "goes on from the one of" in status.reason
    assert not kept(second).whole
    assert kept(second).previous is not None
    assert kept(second).good == replace(good, previous=None)
    torn = kept(second).path
    third = started(local, training(local, number=3, resumes=second))
    assert local.output().splitlines()[-1] == f"from {Path(good.path).stem.removeprefix('step-')}"
    assert not Path(torn).exists(), "what is cut off is out of the way of whoever looks for the newest"
    assert (Path(torn).parent / f".{Path(torn).name}.not-whole-1.3").exists()
    assert any("goes on from the checkpoint of" in each for each in local.status(third).warnings)


def test_checkpoint_that_was_damaged_after_it_was_saved_is_replaced_by_the_kept_one(local: "Stage") -> None:
    first = started(local, training(local))
    paused(local, first)
    path = Path(kept(first).path)
    content = path.read_text()
    draft = path.with_suffix(".draft")
    draft.write_text("nonsense")
    draft.replace(path)
    second = started(local, training(local, number=2, resumes=first))
    assert path.read_text() == content
    assert (path.parent / f".{path.name}.not-whole-1.2").read_text() == "nonsense"
    paused(local, second)
    # Written over in place: our link holds the same damage, so that the one before is taken.
    newest = Path(kept(second).path)
    newest.write_text("nonsense")
    started(local, training(local, number=3, resumes=second))
    assert local.output().splitlines()[-1] == f"from {path.stem.removeprefix('step-')}"


def test_job_whose_checkpoints_are_all_gone_starts_anew_and_says_so(local: "Stage") -> None:
    first = started(local, training(local))
    paused(local, first)
    Path(kept(first).path).write_text("nonsense")
    second = started(local, training(local, number=2, resumes=first))
    assert local.output().splitlines()[-1] == "from 0"
    assert any("starts anew" in each for each in local.status(second).warnings)


def test_job_that_was_taken_away_goes_on_from_what_it_saved_by_itself(local: "Stage") -> None:
    first = started(local, training(local))
    paused(local, first)
    second = started(local, training(local, number=2, resumes=first))
    for process in members(second):
        process.send(signal.SIGKILL)
    assert local.ended(second).signal == signal.SIGKILL
    third = started(local, training(local, number=3, resumes=second))
    saved = Path(kept(first).path).stem.removeprefix("step-")
    assert local.output().splitlines()[-1] == f"from {saved}"
    assert local.status(third).warnings == ()


def test_links_to_checkpoints_go_with_a_job_that_is_done(local: "Stage") -> None:
    first = started(local, training(local))
    paused(local, first)
    assert Path(kept(first).kept).exists()
    second = started(local, training(local, number=2, resumes=first))
    local.backend.stop(second, StopReason.CANCELLED)
    local.ended(second)
    local.wait(lambda: not Path(kept(first).kept).exists())
    assert Path(kept(first).path).exists()


def test_supervisor_that_is_killed_while_the_job_saves_is_followed_by_one_that_knows(local: "Stage") -> None:
    folder = started(local, training(local, variables={"SAVE_S": "1.5"}))
    backend(local).pause(folder, PauseMode.CHECKPOINT)
    local.see(folder, lambda _: (saving := pausing.Saving.of(folder)) is not None and saving.sent)
    local.kill_supervisor(folder)
    assert local.status(folder).phase is Phase.PAUSING
    status = local.ended(folder)
    assert status.stopped is StopReason.PAUSED
    assert kept(folder).path
    if status.exit_code is not None:  # as the kernel can tell
        assert kept(folder).whole


def test_job_that_saved_while_nobody_watched_is_paused_and_not_lost(local: "Stage") -> None:
    terms = replace(TERMS, exit_codes=())
    folder = started(local, training(local, pausing=terms, variables={"SAVE_S": "0.3"}))
    backend(local).pause(folder, PauseMode.CHECKPOINT)
    local.see(folder, lambda _: (saving := pausing.Saving.of(folder)) is not None and saving.sent)
    supervisor = Attempt(folder).supervisor()
    assert supervisor is not None
    supervisor.send(signal.SIGKILL)
    local.await_output("saved")
    status = local.ended(folder)
    assert status.stopped is StopReason.PAUSED
    again = started(local, training(local, number=2, resumes=folder))
    assert local.status(again).phase is Phase.RUNNING


def test_supervisor_that_is_killed_between_asking_and_saying_so_loses_no_pause(local: "Stage") -> None:
    folder = started(local, training(local))
    local.await_output("from")
    supervisor, taken = Attempt(folder).supervisor(), claim.read(folder)
    assert supervisor is not None
    assert taken is not None
    assert taken.process is not None
    supervisor.send(signal.SIGSTOP)  # it does not see how it is left: asked, signalled, and not said
    pausing.ask(folder, pausing.Wish.CHECKPOINT)
    now_ms = time.time_ns() // 1_000_000
    pausing.Saving(now_ms, 0, time.monotonic() + 10.0, sent=False).write(folder)
    taken.process.send(signal.SIGTERM)
    local.await_output("saved")
    supervisor.send(signal.SIGKILL)
    assert local.ended(folder).stopped is StopReason.PAUSED
    again = started(local, training(local, number=2, resumes=folder))
    assert local.status(again).phase is Phase.RUNNING


def test_cancelled_job_does_not_go_on_saving(local: "Stage") -> None:
    folder = started(local, training(local, variables={"SAVE_S": "60"}, grace_s=0.5))
    backend(local).pause(folder, PauseMode.CHECKPOINT)
    local.until(folder, Phase.PAUSING)
    local.see(folder, lambda _: pausing.Saving.of(folder) is not None)
    with pytest.raises(BackendError, match="another one goes on"):
        backend(local).resume(folder)
    backend(local).stop(folder, StopReason.CANCELLED)
    assert local.ended(folder).stopped is StopReason.CANCELLED


def test_job_that_says_it_has_saved_is_ended_at_once(local: "Stage") -> None:
    script = "trap 'echo checkpoint complete' USR1; echo ready; while :; do sleep 0.05; done"
    terms = PauseTerms(signal="USR1", grace_s=60.0, log_line="checkpoint complete")
    folder = local.submit("sh", "-c", script, pausing=terms)
    local.await_output("ready")
    begun = time.monotonic()
    status = paused(local, folder)
    assert time.monotonic() - begun < 20
    assert status.stopped is StopReason.PAUSED
    assert kept(folder).whole


def test_job_of_many_processes_is_paused_as_one_and_a_shell_around_it_stays(local: "Stage") -> None:
    worker = (
        "import os, signal, sys, time; os.setsid()\n"
        "signal.signal(signal.SIGTERM, lambda *_: (open(f'kept/step-{sys.argv[1]}.json', 'w').write('{}'),"
        " os._exit(0)))\n"
        "print('from', sys.argv[1], flush=True)\nwhile True: time.sleep(0.05)"
    )
    (local.root / "worker.py").write_text(worker)
    (local.root / "kept").mkdir()
    shell = f"{sys.executable} worker.py 1 & {sys.executable} worker.py 2 & wait; exit 85"
    out = local.root / "1.1.out"
    launch = local.launch("sh", "-c", shell, pausing=TERMS, stdout=out, stderr=out)
    local.backend.submit(launch)
    local.see(launch.folder, lambda _: out.exists() and out.read_text().count("from") == 2)
    backend(local).pause(launch.folder, PauseMode.STOP)
    local.until(launch.folder, Phase.SUSPENDED)
    assert all(stands(process) for process in members(launch.folder))
    status = paused(local, launch.folder)
    assert status.exit_code == 85
    assert sorted(path.name for path in (local.root / "kept").iterdir()) == ["step-1.json", "step-2.json"]
    assert kept(launch.folder).whole
    assert phases(status) == [*PAUSED, Phase.PAUSING]


def test_training_paused_again_and_again_does_every_step_once(local: "Stage") -> None:
    """Every second pause is by standing still, the others by checkpoint."""
    folder, number = started(local, training(local)), 1
    for cycle in range(CYCLES):
        if cycle % 2:
            backend(local).pause(folder, PauseMode.STOP)
            local.until(folder, Phase.SUSPENDED)
            backend(local).resume(folder)
            local.until(folder, Phase.RUNNING)
            continue
        status = paused(local, folder)
        assert status.stopped is StopReason.PAUSED
        assert kept(folder).whole, status.reason
        number += 1
        folder = started(local, training(local, number=number, resumes=folder))
    backend(local).stop(folder, StopReason.CANCELLED)
    local.ended(folder)
    steps = [int(line) for line in (local.root / "steps").read_text().split()]
    assert steps == list(range(1, len(steps) + 1))
