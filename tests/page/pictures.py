"""Writes the pictures of docs/: the real daemon in a replay of the example's grid, looked at by Chromium.

`.venv/bin/python -m tests.page.pictures` takes about a minute.
"""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.acceptance.conftest import House
from tests.conftest import CLIENTS, ROOT

FACTOR = 240
JOBS = (
    ("baseline", "vision", "1h", "8h", 5), ("ablation lr=3e-4", "nlp", "2h", "20h", 25),
    ("night finetune", "nlp", "3h", "24h", 40), ("evaluation", "vision", "90m", "30h", 20),
    ("pretraining", "vision", "6h", "32h", 85),
)  # fmt: skip
PICTURES = (
    ("light", 1280, "page-now", "/"), ("dark", 1280, "page-dark", "/"),
    ("light", 390, "page-phone", "/"), ("dark", 390, "page-phone-dark", f"/jobs/{len(JOBS)}"),
    ("light", 1920, "page-wide", "/"), ("dark", 1920, "page-wide-dark", f"/jobs/{len(JOBS)}"),
)  # fmt: skip
STEPS = 'for i in $(seq {seconds}); do echo "step $i of {seconds}"; sleep 0.9; done'
CONFIG = """\
signal = "marginal"
meter_interval_s = 1
tdp_w = 65

[[source]]
type = "file"
path = "{grid}"

[[region]]
name = "north"
zones = {{ marginal = "WT:SGIP_CAISO_PGE" }}
cpus = 2
home = true

[[region]]
name = "south"
zones = {{ marginal = "WT:SGIP_CAISO_SCE" }}
cpus = 2
"""


def main() -> None:
    """Makes docs/page-*.png."""
    folder = Path(tempfile.mkdtemp(prefix="tw-"))
    names = {"TIDEWATT_HOME": "home", "TIDEWATT_LEASES": "leases", "XDG_RUNTIME_DIR": "run"}
    for name, part in names.items():
        (folder / part).mkdir(mode=0o700)
        os.environ[name] = str(folder / part)
    house = House(folder)
    try:
        _taken(house)
    finally:
        house.close()
        shutil.rmtree(folder, ignore_errors=True)


def _taken(house: House) -> None:
    grid = ROOT / "configs" / "examples" / "grid_california_2days.csv"
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    replay = ("--replay-from", "2019-09-20T14:00Z", "--replay-factor", str(FACTOR))
    house.up("--listen", listen, *replay, config=CONFIG.format(grid=grid))
    for name, project, duration, finish_by, seconds in JOBS:
        words = ("--name", name, "--project", project, "--duration", duration, "--finish-by", finish_by)
        house.ask("submit", *words, "--", "bash", "-c", STEPS.format(seconds=seconds))
    longest = len(JOBS)
    house.tidewatt("start", str(longest))
    house.until(lambda: house.job(longest)["state"] == "running")
    time.sleep(12)  # so that there is something to see: power, output, a stretch of the chart
    token = house.client().make_token({"name": "pictures", "scope": "operate", "lasting_s": 600.0})["token"]
    base, into = f"http://{listen}", ROOT / "docs"
    for theme, width, name, path in PICTURES:
        wanted = {
            "task": "shots", "base": base, "token": token, "into": str(into), "screens": {name: path},
            "themes": [theme], "widths": [width],
        }  # fmt: skip
        subprocess.run(
            [str(CLIENTS), str(ROOT / "tests" / "page" / "drive.py")],
            input=json.dumps(wanted), text=True, check=True, timeout=120,
        )  # fmt: skip
        _small(into / f"{name}.png")


def _small(path: Path) -> None:
    """Of 128 colours; nobody sees the difference in a drawing."""
    from PIL import Image

    with Image.open(path) as picture:
        picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
