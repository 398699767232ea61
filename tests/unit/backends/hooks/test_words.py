"""A training script may say what it does, and none of it can harm the training."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.backends.hooks.scripts import run, script, told
from tidewatt.backends import attempt
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.hooks import words

ALL_WORDS = """
    with hooks.phase("warm-up"):
        hooks.steps()
    hooks.phase("train")
    for batch in hooks.loop([[1, 2], [3]], samples=len):
        pass
    hooks.tokens(512); hooks.flops(10**18); hooks.parameters(7_000_000_000)
    hooks.checkpoint(step=3); hooks.resumed(step=1); hooks.flush()
    print(hooks.active(), hooks.pause_coming(), hooks.counts())
"""


def test_script_tells_phases_counts_and_checkpoints(tmp_path: Path) -> None:
    out, complaints = run(ALL_WORDS, tmp_path)
    assert out.startswith("True None {'steps': 3,")
    assert complaints == ""
    found = told(tmp_path)
    assert found.counts == {
        "steps": 3, "samples": 3, "tokens": 512, "epochs": 1, "parameters": 7_000_000_000, "flops": 10**18
    }  # fmt: skip
    assert [step for _, step in found.checkpoints] == [3]
    assert found.resumed_step == 1
    assert found.kept == found.counts


def test_nothing_happens_in_a_job_that_tidewatt_did_not_start(tmp_path: Path) -> None:
    out, complaints = run(ALL_WORDS, None, cwd=tmp_path)
    assert (out, complaints) == ("False None {}\n", "")
    assert list(tmp_path.iterdir()) == []


def test_script_that_says_nothing_leaves_nothing(tmp_path: Path) -> None:
    run("print(hooks.active())", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_phase_lasts_until_the_next_and_a_context_goes_back_to_the_one_before(tmp_path: Path) -> None:
    run(
        """
        import time
        def work(): time.sleep(0.02)
        work()
        hooks.phase("train"); work()
        with hooks.phase("evaluate"):
            work()
        work()
        hooks.phase(""); work()
        """,
        tmp_path,
    )
    phases = told(tmp_path).phases
    assert [label for _, _, label in phases] == ["train", "evaluate", "train"]
    assert [end for _, end, _ in phases[:2]] == [start for start, _, _ in phases[1:]]
    assert all(end - start >= 20 for start, end, _ in phases)


def test_mistakes_are_logged_once_and_never_raised(tmp_path: Path) -> None:
    out, complaints = run(
        """
        import warnings; warnings.simplefilter("error")
        hooks.samples(-1); hooks.samples("many"); hooks.samples(float("nan")); hooks.samples(None)
        hooks.checkpoint(step="last"); hooks.phase(None); hooks.phase("x" * 10**6)
        for _ in hooks.loop([1, 2], samples=len): pass
        hooks.samples(5)
        print("trained")
        """,
        tmp_path,
    )
    assert out == "trained\n"
    assert len(complaints.splitlines()) == 1
    assert told(tmp_path).counts == {"steps": 2, "epochs": 1, "samples": 5}


def test_training_goes_on_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "marks").write_text("not a folder")
    out, complaints = run(ALL_WORDS + "    hooks.steps(1)\n", tmp_path)
    assert out.startswith("True None")
    assert len(complaints.splitlines()) == 1
    assert "cannot be kept" in complaints


def test_full_disk_is_told_once_and_what_was_said_is_written_when_there_is_room_again(tmp_path: Path) -> None:
    out, complaints = run(
        """
        import errno, os
        write, pwrite, room = os.write, os.pwrite, 10
        def short_write(fd, data):
            global room
            if not room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = data[:room]
            room -= len(data)
            return write(fd, data)
        os.write = short_write
        os.pwrite = lambda fd, data, at: pwrite(fd, data, at) if room else short_write(fd, data)
        hooks.phase("train"); hooks.steps(7); hooks.checkpoint(step=7)
        room = 10**6
        hooks.steps(1); hooks.flush()
        """,
        tmp_path,
    )
    assert out == ""
    assert len(complaints.splitlines()) == 1
    assert "No space left" in complaints
    found = told(tmp_path)
    assert (found.counts, [step for _, step in found.checkpoints]) == ({"steps": 8}, [7])


def test_killed_script_loses_no_mark_and_a_second_of_counts_at_most(tmp_path: Path) -> None:
    times: list[float] = []  # of each step, just before it was told
    with script(
        """
        import time
        hooks.phase("train"); hooks.checkpoint(step=1)
        while True:
            now = time.monotonic()
            hooks.steps(1)
            print(now, flush=True)
            time.sleep(0.01)
        """,
        tmp_path,
    ) as process:
        assert process.stdout is not None
        while len(times) < 2 or times[-1] - times[0] < 1.3:
            times.append(float(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
    found = told(tmp_path)
    long_told = sum(following <= times[-1] - 1.0 for following in times[1:])
    assert 0 < long_told <= found.counts["steps"]
    assert [step for _, step in found.checkpoints] == [1]
    assert [label for _, _, label in found.phases] == ["train"]


def test_ranks_of_a_job_have_files_of_their_own_and_each_tells_its_part(tmp_path: Path) -> None:
    text = """
        import os, time
        hooks.phase(f"rank {os.environ['RANK']}")
        time.sleep(0.01)
        hooks.steps(10); hooks.samples(64); hooks.epoch(); hooks.parameters(9)
        hooks.checkpoint(step=10)
    """
    processes = [script(text, tmp_path, {"RANK": str(rank)}) for rank in (1, 0)]
    for process in processes:
        with process:
            assert process.wait(60) == 0
    found = told(tmp_path)
    assert found.counts == {"steps": 10, "samples": 128, "epochs": 1, "parameters": 9}
    assert [label for _, _, label in found.phases] == ["rank 0"]
    assert len(found.checkpoints) == 1


def test_rank_is_asked_of_torch_where_it_is_in_use_and_stays_when_that_has_ended(tmp_path: Path) -> None:
    run(
        """
        import sys, types
        torch = types.SimpleNamespace(
            is_available=lambda: True, is_initialized=lambda: True, get_rank=lambda: 3
        )
        sys.modules["torch.distributed"] = torch
        hooks.steps(5); hooks.flush()
        torch.is_initialized = lambda: False
        """,
        tmp_path,
    )
    run("hooks.steps(5)", tmp_path)
    assert told(tmp_path).counts == {"steps": 5}, "ranks 3 and 0 went together"


def test_processes_of_one_rank_follow_each_other(tmp_path: Path) -> None:
    run("import time; hooks.phase('prepare'); hooks.steps(1); time.sleep(0.02)", tmp_path)
    run("import time; hooks.phase('train'); hooks.steps(2); time.sleep(0.02)", tmp_path)
    found = told(tmp_path)
    assert found.counts == {"steps": 3}
    assert [label for _, _, label in found.phases] == ["prepare", "train"]
    assert found.phases[0][1] < found.phases[1][0], "a script that has ended is in no phase"


def test_forked_worker_counts_from_nothing(tmp_path: Path) -> None:
    run(
        """
        import os
        hooks.samples(10)
        if os.fork() == 0:
            hooks.samples(1); hooks.flush()
            os._exit(0)
        os.wait()
        """,
        tmp_path,
    )
    assert told(tmp_path).counts == {"samples": 11}


def test_signal_handler_may_speak_in_the_middle_of_a_word(tmp_path: Path) -> None:
    out, _ = run(
        """
        import signal
        signal.signal(signal.SIGALRM, lambda *_: (hooks.checkpoint(step=1), hooks.steps(1)))
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        for _ in range(30_000):
            hooks.samples(1); hooks.flush() if _ % 100 == 0 else None
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(hooks.counts()["samples"])
        """,
        tmp_path,
    )
    assert told(tmp_path).counts["samples"] == int(out) == 30_000


def test_pause_is_seen_as_long_as_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_LOOK_S", 0.0)
    at = Attempt(tmp_path)
    words.begin(str(at.marks))
    try:
        assert words.pause_coming() is None
        at.announce_pause(time.time_ns() // 1_000_000 + 60_000)
        left_s = words.pause_coming()
        assert left_s is not None
        assert 55 < left_s <= 60
        at.announce_pause(0)
        assert words.pause_coming() == 0.0
        (tmp_path / words.PAUSE).write_text("now, please")
        assert words.pause_coming() == 0.0
        at.withdraw_pause()
        assert words.pause_coming() is None
    finally:
        words.begin(None)


def test_pause_is_seen_also_while_steps_go_by_or_stand_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "_LOOK_S", 0.0)
    at = Attempt(tmp_path)
    words.begin(str(at.marks))
    try:
        words.steps()
        assert words.pause_coming() is None
        words.steps()
        assert words.pause_coming() is None
        at.announce_pause(0)
        assert words.pause_coming() == 0.0, "no step since the last look: a validation, say"
        at.withdraw_pause()
        assert words.pause_coming() is None
        at.announce_pause(0)
        words.steps()
        words.flush()  # which a second does by itself
        assert words.pause_coming() == 0.0
    finally:
        words.begin(None)


def test_both_sides_mean_the_same_variable() -> None:
    assert words.VARIABLE == attempt.MARKS


def test_hooks_import_nothing_beyond_the_standard_library_and_no_tracker() -> None:
    check = (
        "import sys; before = set(sys.modules); import tidewatt.backends.hooks;"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(new - set(sys.stdlib_module_names)), 'json' in new, 'typing' in new)"
    )
    done = subprocess.run([sys.executable, "-S", "-E", "-c", _path() + check], capture_output=True, text=True)
    assert done.stdout == "['tidewatt'] False False\n", done.stderr


def test_import_takes_a_small_part_of_a_start_of_python() -> None:
    def shortest_s(statement: str) -> float:
        times = []
        for _ in range(5):
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-I", "-S", "-c", statement], check=True)
            times.append(time.perf_counter() - begun)
        return min(times)

    bare = shortest_s("pass")
    assert shortest_s(_path() + "import tidewatt.backends.hooks") < 2 * bare + 0.02


def _path() -> str:
    """Python without site-packages still finds this package."""
    return f"import sys; sys.path.insert(0, {str(Path(words.__file__).parents[3])!r});"
