"""Completion in a real bash: commands and flags without any program, jobs and regions from the daemon."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.scheduler.cli.fake_daemon import FakeDaemon, job
from tidewatt.scheduler.cli.app import COMMANDS

Tidewatt = Callable[..., Any]
BIN = Path(sys.executable).parent


def _script(shell: str) -> str:
    command = [str(BIN / "tidewatt"), "completion", shell]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "tidewatt.bash"
    path.write_text(_script("bash"), encoding="utf-8")
    return path


def _completed(script: Path, *words: str, path: str = "/usr/bin:/bin") -> set[str]:
    """What bash offers for the last word."""
    line = " ".join(f"'{word}'" for word in words)
    text = f'source "{script}"; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _tidewatt'
    text += '; echo "${COMPREPLY[@]}"'
    environ = {**os.environ, "PATH": path}
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True, env=environ)
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("tidewatt", "subm"), {"submit"}),
        (("tidewatt", "wait"), {"wait", "wait-clean"}),
        (("tidewatt", "submit", "--finish"), {"--finish-by"}),
        (("tidewatt", "wait-clean", "--zone", "US-CAL-C"), {"US-CAL-CISO"}),
        (("tidewatt", "forecast", "GB"), {"GB"}),
    ],
)
def test_what_never_changes_is_completed_without_starting_tidewatt(
    bash_script: Path, words: tuple[str, ...], offered: set[str]
) -> None:
    assert offered <= _completed(bash_script, *words)  # there is no tidewatt in that PATH


def test_every_command_and_its_flags_are_offered(bash_script: Path) -> None:
    assert _completed(bash_script, "tidewatt", "") == set(COMMANDS)
    for name in COMMANDS:
        assert "--help" in _completed(bash_script, "tidewatt", name, "--he")


def test_jobs_and_regions_are_those_of_the_daemon(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon, bash_script: Path
) -> None:
    fake_daemon.jobs = {7: job(7), 12: job(12)}
    assert set(tidewatt("completion", "jobs").out.split()) == {"7", "12"}
    assert set(tidewatt("completion", "regions").out.split()) == {
        each.name for each in fake_daemon.status.regions
    }


def test_without_a_daemon_nothing_is_offered_and_nothing_is_said(tidewatt: Tidewatt) -> None:
    said = tidewatt("completion", "jobs")
    assert (said.code, said.out, said.err) == (0, "", "")


def test_completing_a_flag_takes_no_longer_than_a_fifth_of_a_second(bash_script: Path) -> None:
    began = time.process_time(), os.times().children_user
    _completed(bash_script, "tidewatt", "submit", "--fin")
    assert os.times().children_user - began[1] < 0.2  # of CPU time: the machine may be busy


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_take_their_scripts(shell: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(_script(shell), encoding="utf-8")
    assert "submit" in script.read_text(encoding="utf-8")
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: its script was written, and not read by it")
    subprocess.run([shell, "-n", str(script)], check=True)


def test_another_shell_is_refused_in_one_sentence(tidewatt: Tidewatt) -> None:
    said = tidewatt("completion", "tcsh")
    assert said.code == 2
    assert "bash, zsh, fish" in said.err
