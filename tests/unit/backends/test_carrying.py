"""Checkpoints on their way: they arrive as they were, or they are not taken."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewatt.backends.backend import BackendError
from tidewatt.backends.carrying import File, Manifest, Place, below, carry, digest_of, place
from tidewatt.backends.places import Folder

FILES = {"model.npz": b"weights" * 5000, "state/optimizer.bin": b"\0\xff" * 999, "step": b""}


def filled(folder: Path, files: dict[str, bytes]) -> Folder:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return Folder.at(str(folder))


@dataclass
class Bad:
    """A place over a line that spoils what it writes, so many times."""

    inner: Place
    spoils: int
    written: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.inner.name

    def manifest(self) -> Manifest:
        return self.inner.manifest()

    def read(self, name: str) -> Iterator[bytes]:
        return self.inner.read(name)

    def write(self, name: str, chunks: Iterator[bytes]) -> None:
        self.written.append(name)
        content = b"".join(chunks)
        if self.spoils and content:
            self.spoils -= 1
            content = bytes([content[0] ^ 1]) + content[1:]
        self.inner.write(name, iter((content,)))


@pytest.fixture(params=["folder", "memory", "file"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return place(str(tmp_path / "there"))
    if request.param == "file":
        return place(f"file://{tmp_path}/storage/job-1")
    return place(f"memory://{uuid.uuid4().hex}/job-1")


def test_checkpoint_arrives_as_it_was(tmp_path: Path, target: Place) -> None:
    source = filled(tmp_path / "here", FILES)
    carried = carry(source, target)
    assert target.manifest() == source.manifest()
    assert {name: b"".join(target.read(name)) for name in FILES} == FILES
    assert carried.bytes == sum(map(len, FILES.values()))
    assert carried.digest == digest_of(source.manifest()) == digest_of(target.manifest())
    assert carried.tries == 1


def test_and_back_again(tmp_path: Path, target: Place) -> None:
    carry(filled(tmp_path / "here", FILES), target)
    back = Folder.at(str(tmp_path / "back"))
    carry(target, back)
    assert {name: (back.path / name).read_bytes() for name in FILES} == FILES


def test_what_is_there_already_is_not_sent_again(tmp_path: Path) -> None:
    source = filled(tmp_path / "here", FILES)
    there = Bad(filled(tmp_path / "there", {"model.npz": FILES["model.npz"]}), 0)
    assert carry(source, there).bytes == len(FILES["state/optimizer.bin"])
    assert "model.npz" not in there.written
    assert carry(source, there).bytes == 0


def test_corrupt_arrival_is_sent_again(tmp_path: Path) -> None:
    source = filled(tmp_path / "here", FILES)
    there = Bad(Folder.at(str(tmp_path / "there")), spoils=2)
    assert carry(source, there).tries == 2
    assert there.manifest() == source.manifest()


def test_line_that_always_spoils_is_given_up(tmp_path: Path) -> None:
    source = filled(tmp_path / "here", FILES)
    with pytest.raises(BackendError, match="arrived corrupt") as error:
        carry(source, Bad(Folder.at(str(tmp_path / "there")), spoils=99))
    assert not error.value.transient


def test_nothing_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="no checkpoint"):
        carry(Folder.at(str(tmp_path / "nowhere")), Folder.at(str(tmp_path / "there")))


@pytest.mark.parametrize("name", ["../model", "/etc/model"])
def test_no_file_is_written_outside_its_place(tmp_path: Path, name: str) -> None:
    with pytest.raises(BackendError, match="no name of a file"):
        Folder.at(str(tmp_path)).write(name, iter((b"x",)))


@pytest.mark.parametrize(
    "text", ["relative/folder", "-oProxyCommand=x:/folder", "host:folder", "no-such://x"]
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(BackendError):
        place(text)


def test_place_of_a_job_lies_below_its_regions() -> None:
    assert below("s3://bucket/ck/", "job-7") == "s3://bucket/ck/job-7"
    assert below("host:/scratch", "job-7") == "host:/scratch/job-7"


names = st.text(
    st.characters(codec="ascii", exclude_characters="/\0", min_codepoint=33), min_size=1, max_size=8
)


@given(
    st.dictionaries(names.filter(lambda name: name not in (".", "..")), st.binary(max_size=50), min_size=1)
)
def test_any_files_arrive(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    source = filled(tmp_path_factory.mktemp("here"), files)
    there = place(f"memory://{uuid.uuid4().hex}")
    carry(source, there)
    assert there.manifest() == source.manifest()


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "a\nb", "", "a//b"])
def test_a_name_that_leads_out_of_its_folder_is_never_taken(tmp_path: Path, name: str) -> None:
    class Foul(Folder):
        def manifest(self) -> Manifest:
            return {name: File(1, "0")}

    target = Folder.at(str(tmp_path / "there"))
    with pytest.raises(BackendError, match="nothing was taken"):
        carry(Foul("foul", tmp_path), target)
    assert not target.path.exists()
