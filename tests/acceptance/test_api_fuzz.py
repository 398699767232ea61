"""Schemathesis asks the real daemon whatever its own description allows, and what it forbids.

All checks are on. Left out is what ends the daemon; the stream of events is asked to end by itself.
TIDEWATT_SOAK_API_CASES=10000 asks so many, other ones each time; `make soak` sets it. The few of a normal
run are the same ones each time.
"""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import CLIENTS

CASES = int(os.environ.get("TIDEWATT_SOAK_API_CASES", "500"))
OPERATIONS = 45  # about; so that the number of examples of each follows
WITHIN_S = 60 + CASES / 4
# What it cannot know: a request that its types allow may still name a zone that there is not.
CONFIG = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "422"]
"""
HOOKS = """
import schemathesis

@schemathesis.hook
def before_call(context, case, kwargs):
    if case.operation.path == "/api/v1/events" and case.query is not None:
        if str(case.query.get("follow", True)).lower() in ("true", "1", "on", "yes", "t", "y"):
            case.query["follow"] = "false"
    elif case.operation.path == "/api/v1/events":
        case.query = {"follow": "false"}
"""


def test_nothing_that_may_be_asked_makes_the_daemon_fail_or_answer_otherwise_than_described(
    house: Any, tmp_path: Path, require_engine: Callable[[str], None]
) -> None:
    require_engine("clients")
    # each of these requests is also sent without a token and with wrong ones
    house.up("--listen", "127.0.0.1:0", config='zone = "DE"\n[server]\nwrong_tokens = 1000000\n')
    listen = house.ask("status")["listen"]
    token = house.ask("token", "create", "fuzz", "--scope", "operate")["token"]
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    (tmp_path / "hooks.py").write_text(HOOKS)
    phases = "fuzzing" if CASES <= 500 else "examples,coverage,fuzzing"
    found = subprocess.run(
        [
            str(CLIENTS.with_name("st")), "--config-file", str(tmp_path / "schemathesis.toml"),
            "run", f"http://{listen}/api/v1/openapi.json", "-H", f"Authorization: Bearer {token}",
            "--exclude-path", "/api/v1/shutdown", "--checks", "all", "--phases", phases,
            "--max-examples", str(max(1, CASES // OPERATIONS + 1)), "--request-timeout", "30",
            "--generation-database", "none", *(["--seed", "1"] if CASES <= 500 else []),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(tmp_path), "NO_COLOR": "1"},
        timeout=WITHIN_S,
        check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]
    counted = re.search(r"([\d,]+) generated, ([\d,]+) passed", found.stdout)
    assert counted is not None, found.stdout[-2000:]
    assert int(counted[1].replace(",", "")) >= CASES * 0.8
    assert "request.failed" not in house.log()
    assert token not in house.log()


def test_description_names_every_path_with_its_scope_and_its_problems(house: Any) -> None:
    house.up("--zone", "DE")
    described = json.loads(house.client().fetch("openapi.json"))
    assert described["openapi"].startswith("3.1")
    for path, verbs in described["paths"].items():
        for verb, operation in verbs.items():
            assert operation["tags"], path
            assert {"401", "403", "409", "421", "422", "429"} <= operation["responses"].keys(), path
            open_to_all = path == "/api/v1/health"
            assert operation["security"] == ([] if open_to_all else [{"token": []}]), (path, verb)
            assert open_to_all or "Scope: `" in operation["description"], (path, verb)
