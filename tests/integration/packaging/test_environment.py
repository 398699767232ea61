"""`make` sets up what it needs, once, and mends what it finds half made."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# A project without dependencies, whose build backend lies in the project: nothing is fetched from anywhere.
PROJECT = """\
[project]
name = "stand-in"
version = "1"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """\
import zipfile

def build_editable(folder, settings=None, metadata=None):
    name = "stand_in-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        about = "stand_in-1.dist-info"
        wheel.writestr("stand_in.py", "")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\\nName: stand-in\\nVersion: 1\\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{about}/RECORD", "")
    return name
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "requirements").mkdir()
    shutil.copy(ROOT / "requirements" / "environment.py", folder / "requirements")
    for lock in ("base", "dev", "clients"):
        (folder / "requirements" / f"{lock}.txt").write_text("")
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(BACKEND)
    set_up(folder, "dev")
    return folder


def set_up(folder: Path, lock: str) -> str:
    """What the script printed."""
    done = subprocess.run(
        [sys.executable, folder / "requirements" / "environment.py", lock],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def works(folder: Path) -> bool:
    """True where the environment holds the project."""
    python = folder / ".venv" / "bin" / "python"
    return subprocess.run([python, "-c", "import stand_in"], check=False).returncode == 0


def test_environment_holds_the_project(checkout: Path) -> None:
    assert works(checkout)


@pytest.mark.parametrize("lock", ["base", "dev"])
def test_current_environment_is_left_alone(checkout: Path, lock: str) -> None:
    assert set_up(checkout, lock) == ""


def test_changed_lock_is_installed(checkout: Path) -> None:
    (checkout / "requirements" / "dev.txt").write_text("# another\n")
    assert "Set up in" in set_up(checkout, "dev")
    assert set_up(checkout, "dev") == ""


def test_clients_of_grid_services_live_apart_and_without_the_project(checkout: Path) -> None:
    assert "Setting up .engines from requirements/clients.txt" in set_up(checkout, "clients")
    assert set_up(checkout, "clients") == ""
    assert set_up(checkout, "dev") == ""
    python = checkout / ".engines" / "bin" / "python"
    assert subprocess.run([python, "-c", "import stand_in"], capture_output=True, check=False).returncode == 1


def test_environment_without_pip_is_made_again(checkout: Path) -> None:
    for part in (checkout / ".venv" / "lib").glob("python*/site-packages/pip*"):
        shutil.rmtree(part)
    (checkout / ".venv" / ".tidewatt-dev").unlink()
    assert "Set up in" in set_up(checkout, "dev")
    assert works(checkout)


def test_environment_of_a_moved_checkout_is_made_for_its_new_place(checkout: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(checkout, moved, symlinks=True)
    assert "Set up in" in set_up(moved, "dev")
    assert works(moved)


def test_unreachable_package_is_one_sentence(checkout: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(checkout, broken, symlinks=True)
    wrong = f"no-such-package-of-ours @ file://{tmp_path}/missing.whl --hash=sha256:{'0' * 64}\n"
    (broken / "requirements" / "dev.txt").write_text(wrong)
    done = subprocess.run(
        [sys.executable, broken / "requirements" / "environment.py", "dev"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "could not be installed" in done.stderr
    assert "Traceback" not in done.stderr.splitlines()[-1]
