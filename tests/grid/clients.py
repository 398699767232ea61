"""Other people's clients of the services, run in the environment that `make engines` sets up for them."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".engines" / "bin" / "python"
LIMIT_S = 60


def told(script: str, folder: Path, **settings: object) -> Any:
    """What a script prints last, as JSON; it finds `settings` as a dictionary of that name.

    `folder` is its home and holds all that it writes.
    """
    begin = f"import json, sys\nsettings = json.loads(sys.argv[1])\n{script}"
    done = subprocess.run(
        [PYTHON, "-c", begin, json.dumps(settings)],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "TZ": "UTC"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])
