"""The wheel and the source archive hold what they should, and the wheel works by itself."""

import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PORTIONS = tuple(f"tidewatt/{area}/" for area in ("scheduler", "forecasting", "backends"))
PIP = ("-m", "pip", "install", "-q", "--no-deps", "--no-index", "--disable-pip-version-check")
DATA = (".html", ".css", ".js", ".svg", ".csv", ".typed", ".mako", ".ini", "slurm/run.sh", "-LICENSE.txt")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=ROOT, check=True, capture_output=True
    )
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [sys.executable, *PIP, "--target", folder, next(built.glob("*.whl"))],
        check=True,
        capture_output=True,
    )
    return folder


def tidewatt(installed: Path, *arguments: str) -> str:
    """Runs the installed package with the environment's libraries but without the checkout."""
    # -S leaves out .pth files, by which an editable install would bring the checkout in.
    path = f"{installed}:{sysconfig.get_path('purelib')}:{sysconfig.get_path('platlib')}"
    done = subprocess.run(
        [sys.executable, "-S", "-c", "from tidewatt.scheduler.cli import main; main()", *arguments],
        env={"PYTHONPATH": path, "HOME": str(installed), "PATH": "/usr/bin:/bin"},
        cwd=installed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_holds_our_three_portions_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    code = [name for name in names if ".dist-info/" not in name]
    assert [name for name in code if not name.startswith(PORTIONS)] == []
    assert [name for name in code if not name.endswith((".py", *DATA))] == []
    for portion in PORTIONS:
        assert f"{portion}py.typed" in code
    assert {"LICENSE", "NOTICE"} <= {Path(name).name for name in names}


def test_wheel_holds_the_data_that_it_works_with(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    assert "tidewatt/scheduler/demo/examples/grid_california_2days.csv" in names
    assert "tidewatt/scheduler/demo/examples/train_digits.py" in names
    assert {f"tidewatt/scheduler/exports/templates/report.{kind}" for kind in ("html", "css")} <= set(names)
    data = {
        path.name for path in (ROOT / "forecasting/tidewatt/forecasting/data").iterdir() if path.is_file()
    }
    assert data <= {Path(name).name for name in names}


def test_source_archive_holds_what_is_needed_to_test_it(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "NOTICE", "Makefile", "tests/conftest.py"} <= names
    assert {"requirements/dev.txt", "requirements/environment.py", "configs/laptop.toml"} <= names
    assert [name for name in names if "__pycache__" in name or name.startswith((".venv", ".git/"))] == []


def test_wheel_works_in_an_empty_folder(installed: Path) -> None:
    assert "submit" in tidewatt(installed, "--help")


def test_installed_wheel_finds_its_own_data(installed: Path) -> None:
    assert "DE" in tidewatt(installed, "zones", "Germany")
    place = "import tidewatt.scheduler.demo.stage as stage; print(stage.examples())"
    path = f"{installed}:{sysconfig.get_path('purelib')}:{sysconfig.get_path('platlib')}"
    done = subprocess.run(
        [sys.executable, "-S", "-c", place],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).is_relative_to(installed)
