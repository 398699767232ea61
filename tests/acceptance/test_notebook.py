"""The example notebook, cell by cell, against the real daemon."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parents[2] / "configs" / "examples" / "first_job.ipynb"


def test_notebook_runs_from_top_to_bottom(house: Any) -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) == 5
    assert all(not cell.get("outputs") for cell in cells)
    house.up("--zone", "DE")
    done = subprocess.run(
        [sys.executable, "-c", "\n\n".join(code)],
        capture_output=True, text=True, cwd=house.work, env=house.environ, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "done" in done.stdout
    assert "g/kWh" in done.stdout
