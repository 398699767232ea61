"""The demo, as a new user runs it, on a shorter piece of the two days."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

SHORTER = (
    "import sys, pathlib; from tidewatt.scheduler.demo.play import play; play(pathlib.Path(sys.argv[1]), 20)"
)
TIDEWATT = [sys.executable, "-c", "from tidewatt.scheduler.cli import main; main()"]
UNTIL_S = 240


def left_behind(folder: Path) -> list[str]:
    """Command lines of processes whose state lies below `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            environ = (entry / "environ").read_bytes() if entry.name.isdigit() else b""
            if b"TIDEWATT_HOME=" + os.fsencode(folder) in environ:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # ended meanwhile
            continue
    return found


@pytest.fixture
def own_tmp(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the demo makes its temporary home."""
    folder = own_home / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    assert len(str(folder)) <= 40, tempfile.gettempdir()
    return folder


@pytest.mark.timeout(UNTIL_S + 30)
def test_demo_trains_settles_draws_and_leaves_nothing(own_tmp: Path, tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    done = subprocess.run(
        [sys.executable, "-c", SHORTER, picture],
        capture_output=True,
        text=True,
        timeout=UNTIL_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("baseline", "ablation", "tune"):
        assert f"{name}" in done.stdout
    assert "replayed" in done.stdout
    assert "real" in done.stdout
    assert str(picture) in done.stdout
    assert picture.read_text().lstrip().startswith("<?xml")
    assert list(own_tmp.iterdir()) == []
    assert left_behind(own_tmp) == []


@pytest.mark.timeout(UNTIL_S)
def test_interrupted_demo_leaves_nothing(own_tmp: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [*TIDEWATT, "demo", "--picture", tmp_path / "demo.svg"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        said = []
        for line in demo.stdout:
            said.append(line)
            if "starts in" in line:
                break
        assert left_behind(own_tmp) != [], said
        os.killpg(demo.pid, signal.SIGINT)  # what Ctrl-C does
        begun = time.monotonic()
        demo.stdout.read()
        assert demo.wait(timeout=60) == 130
        assert time.monotonic() - begun < 30
    assert list(own_tmp.iterdir()) == []
    assert left_behind(own_tmp) == []
