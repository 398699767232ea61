"""What was submitted is known again, and told apart from what changed."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tidewatt.backends import source
from tidewatt.backends.backend import BackendError


def git(folder: Path, *arguments: str) -> str:
    author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *author, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    (folder / "model").mkdir(parents=True)
    git(folder, "init", "-q")
    (folder / "train.py").write_text("print('train')\n")
    (folder / "model" / "net.py").write_text("layers = 3\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("train.py")
    (folder / ".gitignore").write_text("*.log\ndata/\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_clean_tree_is_its_commit(repository: Path) -> None:
    record = source.record(repository)
    assert record.commit == git(repository, "rev-parse", "HEAD")
    assert (record.dirty, record.diff) == (False, "")
    assert record.digest == source.digest(repository) == source.record(repository / "model").digest


def test_uncommitted_change_is_kept_as_a_difference(repository: Path) -> None:
    before = source.digest(repository)
    (repository / "train.py").write_text("print('trained')\n")
    record = source.record(repository)
    assert record.dirty
    assert "+print('trained')" in record.diff
    assert record.digest != before


def test_committing_what_was_there_changes_nothing(repository: Path) -> None:
    (repository / "train.py").write_text("print('trained')\n")
    (repository / "new.py").write_text("x = 1\n")
    (repository / "run.sh").unlink()
    before = source.digest(repository)
    git(repository, "add", "-A")
    staged = source.record(repository)
    git(repository, "commit", "-q", "-m", "second")
    assert before == staged.digest == source.digest(repository)
    assert staged.dirty


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("new.py", True),
        ("conf/model.yaml", True),
        ("out.txt", False),
        ("weights.pt", False),
        ("train.log", False),
        ("data/x.py", False),
    ],
)
def test_only_untracked_source_files_count(repository: Path, name: str, differs: bool) -> None:
    before = source.digest(repository)
    (repository / name).parent.mkdir(exist_ok=True)
    (repository / name).write_text("x")
    assert (source.digest(repository) != before) == differs


def test_touched_file_is_the_same_file(repository: Path) -> None:
    before = source.digest(repository)
    os.utime(repository / "train.py", (1, 1))
    assert source.digest(repository) == before


def test_mode_and_link_count(repository: Path) -> None:
    before = source.digest(repository)
    (repository / "run.sh").chmod(0o644)
    changed = source.digest(repository)
    (repository / "run.sh").chmod(0o755)
    (repository / "link").unlink()
    (repository / "link").symlink_to("run.sh")
    assert len({before, changed, source.digest(repository)}) == 3


def test_huge_difference_is_left_out_and_said(repository: Path) -> None:
    (repository / "train.py").write_text("# a line of a generated file\n" * 300_000)
    record = source.record(repository)
    assert record.diff == ""
    assert "larger than 5 MB and was not kept" in record.method


def test_difference_in_another_encoding_is_text_all_the_same(repository: Path) -> None:
    (repository / "train.py").write_bytes(b"name = 'M\xfcller'\n")
    assert "M\\xfcller" in source.record(repository).diff


def test_repository_without_a_commit_is_recorded(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "train.py").write_text("x")
    record = source.record(tmp_path)
    assert record.commit == ""
    assert "nothing is committed yet" in record.method
    assert record.digest.startswith("git:")


def test_folder_without_git_is_recorded_by_its_source_files(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("x")
    (tmp_path / "weights.bin").write_text("x")
    record = source.record(tmp_path)
    assert record.digest.startswith("files:")
    assert "1 source files" in record.method
    (tmp_path / "weights.bin").write_text("y")
    assert source.digest(tmp_path) == record.digest
    (tmp_path / "train.py").write_text("y")
    assert source.digest(tmp_path) != record.digest


def test_host_without_git_still_records(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    record = source.record(repository)
    assert record.digest.startswith("files:")
    assert "git is not installed" in record.method


@pytest.mark.parametrize("folder", ["empty", "gone"])
def test_nothing_to_record_never_stops_a_submit(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    record = source.record(tmp_path / folder)
    assert record.digest == ""
    assert "nothing to record" in record.method


def test_environments_and_caches_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("x")
    before = source.digest(tmp_path)
    for name in (".hidden/a.py", "venv/lib/b.py", "__pycache__/c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    assert source.digest(tmp_path) == before


def test_recording_is_quick(repository: Path) -> None:
    for number in range(500):
        (repository / f"module_{number}.py").write_text(f"x = {number}\n")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "many")
    took_s = []
    for _ in range(3):
        began = time.process_time()
        source.record(repository)
        took_s.append(time.process_time() - began)
    assert min(took_s) < 0.1  # of our own; git's is a few milliseconds each


def test_snapshot_holds_tracked_files_with_their_changes(repository: Path, tmp_path: Path) -> None:
    (repository / "train.py").write_text("print('trained')\n")
    (repository / "untracked.py").write_text("x")
    (repository / "run.sh").unlink()
    inside = source.snapshot(repository / "model", tmp_path / "copy")
    assert inside == tmp_path / "copy" / "model"
    copied = {
        str(path.relative_to(tmp_path / "copy"))
        for path in (tmp_path / "copy").rglob("*")
        if not path.is_dir()
    }
    assert copied == {"train.py", "model/net.py", "link", ".gitignore"}
    assert (tmp_path / "copy" / "train.py").read_text() == "print('trained')\n"
    assert (tmp_path / "copy" / "link").is_symlink()


def test_snapshot_needs_git(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with pytest.raises(BackendError, match="git init"):
        source.snapshot(tmp_path / "work", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_snapshot_is_made_once(repository: Path, tmp_path: Path) -> None:
    source.snapshot(repository, tmp_path / "copy")
    with pytest.raises(BackendError, match="cannot be made"):
        source.snapshot(repository, tmp_path / "copy")
    assert {path.name for path in tmp_path.iterdir()} == {"work", "copy"}
