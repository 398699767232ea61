"""Every command of a `console` block in the documents runs as it stands there, in a home of its own."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.acceptance.conftest import COMMAND, House

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"(<!-- not run: [^>]+ -->\n+)?^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_TYPED = re.compile(r"^\$ ((?:[^\n\\]|\\\n|\\.)*)$", re.MULTILINE)
_MEANT = re.compile(r"^(\$ |tidewatt )", re.MULTILINE)


def _commands(page: Path) -> list[str]:
    blocks = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [command for _why, kind, text in blocks if kind == "console" for command in _TYPED.findall(text)]


@pytest.mark.parametrize("page", [page for page in PAGES if _commands(page)], ids=lambda page: str(page.stem))
def test_every_command_of_a_page_runs(page: Path, house: House) -> None:
    config = house.folder / ".config" / "tidewatt" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('zone = "DE"\n', encoding="utf-8")
    (house.work / "configs").symlink_to(ROOT / "configs")  # as in the checkout's folder
    environ = house.environ | {"HOME": str(house.folder), "PATH": f"{COMMAND.parent}:{os.environ['PATH']}"}

    def ran(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command], cwd=house.work, env=environ, timeout=60, check=False,
            capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    for command in _commands(page):
        done, ends = ran(command), time.monotonic() + 30
        while "is not settled yet" in done.stderr and time.monotonic() < ends:  # a reader would look again
            done = ran(command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_what_is_typed_elsewhere_says_why_it_is_not_run(page: Path) -> None:
    blocks = _BLOCK.findall(page.read_text(encoding="utf-8"))
    untold = [text for why, kind, text in blocks if kind != "console" and _MEANT.search(text) and not why]
    assert untold == []
