"""`#TIDEWATT` lines at the head of a script, beside flags and `./tidewatt.toml`."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.scheduler.cli.fake_daemon import NOW, FakeDaemon

Tidewatt = Callable[..., Any]


def _script(folder: Path, text: str, mode: int = 0o755) -> None:
    path = folder / "train.sh"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def test_a_script_brings_its_own_flags(tidewatt: Tidewatt, fake_daemon: FakeDaemon, tmp_path: Path) -> None:
    _script(tmp_path, "#!/bin/sh\n# trains\n\n#TIDEWATT --finish-by 18h --gpus a100:2  # two\n"
                      "#TIDEWATT -J bert --label team=x\n#TIDEWATT --label run=1 --hold\necho\n")  # fmt: skip
    assert tidewatt("submit", "train.sh", "--epochs", "3").code == 0
    (asked,) = fake_daemon.submitted
    assert asked.argv == ("./train.sh", "--epochs", "3")
    assert asked.finish_by == NOW + timedelta(hours=18)
    assert (asked.gpus, asked.gpu_kind, asked.name, asked.hold) == (2, "a100", "bert", True)
    assert asked.labels == {"team": "x", "run": "1"}


def test_flags_win_over_lines_of_the_script_and_these_over_the_folder_s_defaults(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon, tmp_path: Path
) -> None:
    (tmp_path / "tidewatt.toml").write_text('project = "folder"\nduration = "1h"\nmem = "1G"\n')
    _script(tmp_path, "#!/bin/sh\n#TIDEWATT --project script --duration 2h -J script\n")
    assert tidewatt("submit", "--duration", "3h", "-J", "flag", "./train.sh").code == 0
    (asked,) = fake_daemon.submitted
    assert (asked.duration_s, asked.project, asked.mem_mb, asked.name) == (3 * 3600, "script", 1024, "flag")


@pytest.mark.parametrize("command", [("train.sh",), ("./train.sh",), ("sh", "train.sh")])
def test_a_script_that_may_not_be_executed_is_run_by_what_its_first_line_names(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon, tmp_path: Path, command: tuple[str, ...]
) -> None:
    _script(tmp_path, "#!/bin/sh -e\n#TIDEWATT --gpus 1\n", 0o644)
    assert tidewatt("submit", *command).code == 0
    (asked,) = fake_daemon.submitted
    assert asked.gpus == 1
    assert asked.argv == (command if command[0] == "sh" else ("/bin/sh", "-e", *command))


def test_lines_below_the_first_code_are_not_looked_at(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon, tmp_path: Path
) -> None:
    _script(tmp_path, "#!/bin/sh\necho\n#TIDEWATT --gpus 4\n#TIDEWATT --nonsense\n")
    assert tidewatt("submit", "train.sh").code == 0
    (asked,) = fake_daemon.submitted
    assert asked.gpus == 0


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("#TIDEWATT --finnish-by 18h", "finnish-by"),
        ("#TIDEWATT --priority high", "--priority"),
        ("#TIDEWATT --deadline 18h", "--finish-by"),
        ("#TIDEWATT --name 'half", "quotation"),
        ("#TIDEWATT oops", "oops"),
    ],
)
def test_a_line_that_is_wrong_is_named_with_its_file_and_number(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon, tmp_path: Path, line: str, told: str
) -> None:
    _script(tmp_path, f"#!/bin/sh\n\n{line}\n")
    said = tidewatt("submit", "train.sh")
    assert said.code == 2
    assert "train.sh:3: " in said.err
    assert told in said.err
    assert fake_daemon.submitted == []


def test_run_refuses_what_its_own_flags_do_not_have(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon, tmp_path: Path
) -> None:
    _script(tmp_path, "#!/bin/sh\n#TIDEWATT --array 0-3\n")
    said = tidewatt("run", "./train.sh")
    assert said.code == 2
    assert "train.sh:2: " in said.err


def test_a_program_that_is_no_script_is_left_alone(
    tidewatt: Tidewatt, fake_daemon: FakeDaemon, tmp_path: Path
) -> None:
    (tmp_path / "program").write_bytes(b"#TIDEWATT --gpus 4\n\0\1")
    (tmp_path / "program").chmod(0o755)
    assert tidewatt("submit", "./program").code == 0
    (asked,) = fake_daemon.submitted
    assert asked.gpus == 0
