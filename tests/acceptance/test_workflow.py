"""The workflow for GitHub Actions: it is one, and its commands run here, but for the waiting."""

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.conftest import COMMAND, House

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / "configs" / "examples" / "github-actions.yml"
# what would wait for hours shows what it would do instead; the tests run what `pip install .` has installed
INSTEAD = {"tidewatt wait-clean": "--dry-run", "tidewatt run": "--dry-run"}


def _workflow() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    return found


def _commands() -> list[str]:
    jobs = _workflow()["jobs"].values()
    runs = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    return [command for command in runs if command != "pip install ."]


def test_it_is_a_workflow_whose_steps_use_actions_or_run_commands() -> None:
    workflow = _workflow()
    assert set(workflow) == {"name", True, "permissions", "jobs"}  # YAML reads `on` as true
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    assert len(_commands()) == 3


@pytest.mark.parametrize("command", _commands())
def test_each_of_its_commands_runs(command: str, house: House) -> None:
    house.up("--zone", "DE")
    words = shlex.split(command)
    if " ".join(words[:2]) in INSTEAD:
        verb = "submit" if words[1] == "run" else words[1]
        words = ["tidewatt", verb, INSTEAD[" ".join(words[:2])], *words[2:]]
    environ = house.environ | {"PATH": f"{COMMAND.parent}:{os.environ['PATH']}"}
    done = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    house.tidewatt("down")
