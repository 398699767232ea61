"""Words of users and other hosts on their way to and from Slurm: none of them is taken for something else."""

import io
import shlex
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tidewatt.backends.backend import Launch
from tidewatt.backends.slurm import freight
from tidewatt.backends.slurm.directives import directives
from tidewatt.backends.slurm.options import SlurmOptions
from tidewatt.backends.slurm.reach import Reach
from tidewatt.backends.slurm.reference import Reference
from tidewatt.backends.slurm.script import Submission


@pytest.mark.parametrize(
    "name", ["train", "my job", "x --array=0-99", 'it\'s "one"', "a#b;c", "a\\", "a\u2028b", "ä", "x\ny"]
)
def test_a_jobs_name_is_one_word_of_one_option(tmp_path: Path, name: str) -> None:
    launch = Launch(
        "1.1", tmp_path, ("true",), tmp_path, None, Path("o"), Path("e"), name=name, token="tw-1-1-1"
    )
    lines = Submission(launch, SlurmOptions(), tmp_path).batch().splitlines()
    asked = [line for line in lines if line.startswith("#SBATCH")]
    words = [word for line in asked for word in shlex.split(line.removeprefix("#SBATCH"))]
    assert [word.partition("=")[0] for word in words] == ["--job-name", "--cpus-per-task"]
    assert words[0] == f"--job-name={' '.join(name.split())}"
    assert len(lines) == len(asked) + 4


@pytest.mark.parametrize(
    "word", ["--array=0-9", "--arr=0-9", "--ar 0-9", "-a 0-9", "-a0-9", "--wra=x", "--beg=now"]
)
def test_what_is_ours_is_left_out_however_it_is_abbreviated(tmp_path: Path, word: str) -> None:
    (tmp_path / "train.sh").write_text(f"#!/bin/sh\n#SBATCH {word}\n#SBATCH --time=10 --mem=1G -n 2\ntrue\n")
    found = directives(("train.sh",), tmp_path)
    assert [name for name, _ in found.options] == ["time", "mem", "ntasks"]
    assert len(found.dropped) == 1


def test_what_the_region_decides_is_not_changed_by_an_abbreviation(tmp_path: Path) -> None:
    (tmp_path / "train.sh").write_text("#!/bin/sh\n#SBATCH --part=gpu --acc=other\n")
    assert directives(("train.sh",), tmp_path, frozenset({"partition", "account"})).options == ()


def test_another_host_replaces_nothing_here_but_readings_and_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in (
            "readings/a.jsonl",
            "marks/b.jsonl",
            "claim",
            "engine.json",
            "../up",
            "/abs",
            "readings/../x",
        ):
            member = tarfile.TarInfo(name)
            member.size = 2
            archive.addfile(member, io.BytesIO(b"{}"))
        for kind, name in ((tarfile.SYMTYPE, "readings/link"), (tarfile.FIFOTYPE, "marks/pipe")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    done = SimpleNamespace(returncode=0, stdout=out.getvalue(), stderr=b"")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    folder = tmp_path / "attempt"
    folder.mkdir()
    freight.fetch(cast(Reference, SimpleNamespace(reach=Reach(), there=Path("/there"))), folder)
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir()}
    assert found == {"attempt/readings/a.jsonl", "attempt/marks/b.jsonl"}
