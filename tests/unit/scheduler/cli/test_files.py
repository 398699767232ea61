"""Files are written whole or not at all, and refused before any work where they cannot be."""

from pathlib import Path

import pytest

from tidewatt.scheduler.cli.exporting import Files
from tidewatt.scheduler.cli.files import put, put_by, refuse_file
from tidewatt.scheduler.errors import BadInput, SchedulerError


def test_file_takes_the_place_of_another_and_leaves_nothing_beside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.html"
    file.write_text("old and longer than the new")
    put(file, "new")
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", f"wrote {file}\n")


def test_file_that_cannot_be_filled_leaves_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "report.parquet"
    file.write_text("old")

    def fill(target: Path) -> None:
        target.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(SchedulerError, match=r"cannot be written: No space left"):
        put_by(file, fill)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real.csv")
    put(tmp_path / "link.csv", "new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "new"


def test_device_is_written_to_and_not_replaced() -> None:
    put(Path("/dev/null"), "gone")
    assert Path("/dev/null").is_char_device()


def test_dash_is_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    put(Path("-"), "words\n")
    assert capsys.readouterr().out == "words\n"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("none/x.html", "folder of .* does not exist"),
        ("x.pdf", r"has to end in \.html"),
        ("", "is a folder|has to end"),
    ],
)
def test_file_that_could_not_be_written_is_refused_at_once(tmp_path: Path, name: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        refuse_file(tmp_path / name, (".html",))


def test_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="name a file in it"):
        refuse_file(tmp_path)


def test_two_formats_do_not_share_stdout() -> None:
    with pytest.raises(BadInput, match="only one of the formats"):
        Files(html=Path("-"), badge=Path("-")).check()
