"""Writes `base`, `dev`, `clients` and `trackers.txt` beside this file: every package pinned, with its hashes.

Run by `make lock`. `base.txt` is what `make demo` installs, `dev.txt` what `make test` installs; both hold
the build backend too, so that the project itself is installed without a network. `clients.txt` is what
`make engines` installs apart from them, `trackers.txt` what `benchmarks/trackers.py` installs. None names an
index: packages come from wherever the machine's pip is configured to look, and the hashes decide what is
accepted.
"""

import argparse
import os
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
EDITABLE = ("editables>=0.5",)  # what hatchling asks for when it builds an editable wheel
CLIENTS = (
    "axe-playwright-python==0.1.8",
    "bio-pype-carbon-intensity==0.1.1",
    "climate-aware-task-scheduler==1.2.1",
    "codecarbon==3.3.2",
    "electricitymaps==0.0.1",
    "entsoe-py==0.8.1",
    "huggingface-hub==2.4.0",
    "kubernetes==35.0.0",
    "moto[batch,ec2,server]==5.2.5",
    "playwright==1.65.2",
    "prometheus-client==0.26.0",
    "ray[default]==2.60.0",
    "schemathesis==4.32.5",
    "submitit==1.5.4",
    "watttime==1.4.0",
)
"""Other people's clients of grids and engines, readers of exports, and engines: part of the tests."""
TRACKERS = ("codecarbon==3.3.2", "carbontracker==2.4.7", "zeus==0.16.0")
"""Other meters, which a benchmark runs beside ours: their versions stand with its figures."""
QUIET = (
    "--quiet",
    "--no-emit-index-url",
    "--no-emit-trusted-host",
    "--no-emit-find-links",
    "--no-emit-options",
)


def wanted(project: Path) -> tuple[list[str], list[str]]:
    """The requirements of the product, and those of the product with its development tools."""
    table = tomllib.loads(project.read_text())
    base = [
        *table["project"]["dependencies"],
        *table["project"]["optional-dependencies"]["pictures"],
        *table["build-system"]["requires"],
        *EDITABLE,
    ]
    return base, base + table["dependency-groups"]["dev"]


def lock(requirements: list[str], into: Path, constraints: Path | None, upgrade: bool) -> None:
    """Resolves `requirements` into `into`; raises CalledProcessError where they cannot be met."""
    command = [sys.executable, "-m", "piptools", "compile", *QUIET, "--generate-hashes", "--strip-extras"]
    command += ["--allow-unsafe", "--no-annotate", "--output-file", str(into), "-"]
    command += ["--constraint", str(constraints)] if constraints else []
    command += ["--upgrade"] if upgrade else []
    subprocess.run(
        command,
        input="\n".join(requirements),
        text=True,
        check=True,
        env=os.environ | {"CUSTOM_COMPILE_COMMAND": "make lock"},
    )


def main() -> None:
    """Locks all files; `--upgrade` takes the newest versions instead of keeping those locked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    upgrade = parser.parse_args().upgrade
    base, everything = wanted(HERE.parent / "pyproject.toml")
    lock(everything, HERE / "dev.txt", None, upgrade)
    lock(base, HERE / "base.txt", HERE / "dev.txt", upgrade)
    lock(list(CLIENTS), HERE / "clients.txt", None, upgrade)
    lock(list(TRACKERS), HERE / "trackers.txt", None, upgrade)


if __name__ == "__main__":
    main()
