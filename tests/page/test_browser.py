"""A person at the page: Chromium drives the real daemon."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import House
from tests.conftest import CLIENTS, ROOT

RULE = '[[policy]]\nname = "vision stays"\nverdict = "forbid"\nprojects = ["vision"]\nregions = ["here"]\n'
RULE += 'because = "its data may not leave"'
CONFIG = """\
zone = "DE"
signal = "average"
meter_interval_s = 1
tdp_w = 65

[[region]]
name = "here"
zone = "DE"
cpus = 2
home = true
"""
EVERY = ["/", "/jobs", "/jobs/1", "/jobs/3", "/submit", "/savings", "/regions", "/rules", "/system"]
SCREENS = {390: EVERY, 1280: EVERY, 1920: EVERY}
ALL = os.environ.get("TIDEWATT_SOAK_PAGE") == "1"  # `make soak` sets it; else each screen is looked at once
SHARE = {
    "light": (["/", "/jobs/3"], ["/savings", "/rules"], ["/jobs", "/submit"]),
    "dark": (["/savings", "/jobs"], ["/system", "/"], ["/regions", "/jobs/1"]),
}
LONG = "a-name-that-goes-on-and-on-and-on-and-on-and-is-longer-than-a-phone"[:63]
WRITES = "import time\nfor n in range(600):\n    print('step', n, flush=True)\n    time.sleep(0.1)"


@pytest.fixture
def site(own_home: Path, require_engine: Callable[[str], None]) -> Iterator[tuple[House, str, str]]:
    """A daemon that listens, its address, and a token for it."""
    require_engine("chromium")
    require_engine("clients")
    made = House(own_home)
    try:
        with socket.create_server(("127.0.0.1", 0)) as free:
            listen = f"127.0.0.1:{free.getsockname()[1]}"
        made.up("--listen", listen, config=CONFIG)
        token = made.client().make_token({"name": "test", "scope": "operate", "lasting_s": 3600.0})["token"]
        yield made, f"http://{listen}", str(token)
    finally:
        made.close()


def drive(**wanted: Any) -> dict[str, Any]:
    """What the browser saw."""
    done = subprocess.run(
        [str(CLIENTS), str(ROOT / "tests" / "page" / "drive.py")],
        input=json.dumps(wanted), capture_output=True, text=True, timeout=180,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["XDG_DATA_HOME"], "TZ": "Europe/Berlin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    seen: dict[str, Any] = json.loads(done.stdout)
    assert seen["strayed"] == []
    assert seen["complaints"] == []
    return seen


def test_a_person_submits_watches_cancels_rules_and_reads(site: tuple[House, str, str]) -> None:
    house, base, token = site
    (house.work / "train.py").write_text(WRITES, encoding="utf-8")
    house.ask("submit", "--name", "before", "--duration", "1m", "--", sys.executable, "-c", "pass")
    house.ended(1)
    command = f"{sys.executable} train.py"
    link = house.ask("open")["url"]
    assert link.startswith(f"{base}/login#code=")
    seen = drive(task="story", base=base, token=link, command=command, folder=str(house.work), rule=RULE)
    seen = seen["light 1280"]
    assert "has no unit" in seen["mistake"]
    assert "in here" in seen["preview"]
    assert "CET" in seen["preview"] or "CEST" in seen["preview"] or "GMT+" in seen["preview"]
    assert "step" in seen["log"]
    assert "W" in seen["power"] or "not measured yet" in seen["power"]
    assert seen["state"] == "cancelled"
    assert "1 rule can be put in force" in seen["checked"]
    assert "vision stays" in seen["rules"]
    assert "2" in seen["savings"]
    assert seen["signed_out"] == "Sign in"
    assert house.job(int(seen["job"]))["state"] == "cancelled"
    assert "vision stays" in (house.folder / "config.toml").read_text(encoding="utf-8")
    assert token not in house.log()
    assert link.partition("=")[2] not in house.log()
    with pytest.raises(AssertionError, match="Timeout"):  # it was for once
        drive(task="shots", base=base, token=link, screens={}, into="", patience_ms=1500)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_violation_from_phone_to_wide_screen(
    site: tuple[House, str, str], theme: str
) -> None:
    house, base, token = site
    house.ask("submit", "--name", "one", "--duration", "1m", "--", sys.executable, "-c", "pass")
    house.ended(1)
    house.ask("submit", "--duration", "1h", "--finish-by", "12h", "--hold", "--", "true")
    house.ask("submit", "--name", LONG, "--project", LONG, "--", sys.executable, "-c", f"print({LONG!r} * 9)")
    screens = SCREENS if ALL else {width: SHARE[theme][at] for at, width in enumerate(SCREENS)}
    for width, paths in screens.items():
        seen = drive(task="accessible", base=base, token=token, themes=[theme], widths=[width], screens=paths)
        assert seen[f"{theme} {width}"] == [], width
