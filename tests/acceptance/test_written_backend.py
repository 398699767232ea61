"""The backend that the documentation writes: it keeps the contract, and a real daemon finds and uses it."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import House
from tests.backends.contract import Contract
from tests.backends.stage import Stage
from tests.backends.troupes import HostTroupe
from tidewatt.backends.attempt import Attempt

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-backend.md"
CONFIG = '[[region]]\nname = "attic"\nbackend = "shell"\noptions = { nice = 3 }\nzone = "DE"\ncpus = 4\n'


def distribution(folder: Path) -> Path:
    """The page's code as an installed distribution: a module, and metadata with the entry point."""
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    (folder / "tidewatt_shell.py").write_text(code[1], encoding="utf-8")
    named = folder / "tidewatt_shell-1.0.dist-info"
    named.mkdir()
    (named / "METADATA").write_text("Metadata-Version: 2.1\nName: tidewatt-shell\nVersion: 1.0\n")
    (named / "entry_points.txt").write_text("[tidewatt.backends]\nshell = tidewatt_shell:Engine\n")
    return folder


class TestWrittenContract(Contract):
    """The stories on it."""

    @pytest.fixture
    def stage(self, tmp_path: Path) -> Iterator[Stage]:
        troupe: Any = HostTroupe()
        spec = spec_from_file_location("tidewatt_shell", distribution(tmp_path) / "tidewatt_shell.py")
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        troupe.backend = module.Engine.made({}, None)
        troupe.restart = lambda: setattr(troupe, "backend", module.Engine.made({}, None))
        left_out = dict.fromkeys(("limit", "grace"), "left out of the example")
        troupe.lacks = {**troupe.lacks, **left_out}
        stage = Stage(troupe, tmp_path)
        yield stage
        for folder in stage.folders:
            clear(folder)


def clear(folder: Path) -> None:
    """Ends what a story has left running."""
    if (
        (folder / "pid").exists()
        and not (folder / "code").exists()
        and Attempt(folder).stop_request() is None
    ):
        os.killpg(int((folder / "pid").read_text()), signal.SIGKILL)


def test_daemon_runs_jobs_by_a_backend_of_somebody_else(house: House, tmp_path: Path) -> None:
    paths = [str(distribution(tmp_path)), os.environ.get("PYTHONPATH", "")]
    house.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    house.up(config=CONFIG)
    done = house.tidewatt("run", "--", sys.executable, "-c", "import os; print('nice', os.nice(0))")
    assert done.returncode == 0, done.stderr
    assert "nice 3" in done.stdout
    assert "nice 3" in house.tidewatt("logs", "1").stdout
    cancelled = house.tidewatt("submit", "--", "sleep", "60")
    assert cancelled.returncode == 0, cancelled.stderr
    house.tidewatt("cancel", "2")
    assert house.tidewatt("wait", "2").returncode == 121
