"""The library that stands between processes under test and their disk (see disk.c)."""

import subprocess
from pathlib import Path


def preloaded(folder: Path) -> Path:
    """Compiles it into a folder; its path is for LD_PRELOAD."""
    library = folder / "disk.so"
    source = Path(__file__).with_name("disk.c")
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library
