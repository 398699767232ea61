"""Checkpoints that go to another host, over a real sshd on loopback, with and without rsync."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ssh.host import SshHost
from tidewatt.backends.backend import BackendError
from tidewatt.backends.carrying import carry, place
from tidewatt.backends.places import Folder, Host

FILES = {"model.npz": b"weights" * 50_000, "a folder/it's $HOME.bin": b"\0\xff" * 999, "step": b""}


@pytest.fixture
def elsewhere(
    tmp_path_factory: pytest.TempPathFactory, require_engine: Callable[[str], None]
) -> Iterator[SshHost]:
    require_engine("ssh")
    host = SshHost(tmp_path_factory.mktemp("sshd")).up()
    yield host
    host.down()


@pytest.fixture
def source(tmp_path: Path) -> Folder:
    for name, content in FILES.items():
        path = tmp_path / "here" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return Folder.at(str(tmp_path / "here"))


@pytest.mark.parametrize("rsync", [True, False])
def test_checkpoint_goes_there_and_comes_back(
    tmp_path: Path, elsewhere: SshHost, source: Folder, rsync: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not rsync:
        monkeypatch.setattr(Host, "syncs", lambda _: False)
    there = place(f"{elsewhere.name}:{tmp_path}/there/job 1", ssh=elsewhere.arguments, timeout_s=20)
    assert there.manifest() == {}
    carry(source, there)
    assert there.manifest() == source.manifest()
    assert carry(source, there).bytes == 0
    back = Folder.at(str(tmp_path / "back"))
    carry(there, back)
    assert {name: (back.path / name).read_bytes() for name in FILES} == FILES


def test_file_that_was_spoilt_there_is_sent_again(tmp_path: Path, elsewhere: SshHost, source: Folder) -> None:
    there = place(f"{elsewhere.name}:{tmp_path}/there", ssh=elsewhere.arguments, timeout_s=20)
    carry(source, there)
    spoilt = tmp_path / "there" / "model.npz"
    spoilt.write_bytes(b"x" + spoilt.read_bytes()[1:])
    assert carry(source, there).bytes == len(FILES["model.npz"])
    assert there.manifest() == source.manifest()


def test_host_that_does_not_answer_is_a_passing_error(
    tmp_path: Path, elsewhere: SshHost, source: Folder
) -> None:
    elsewhere.down()
    there = place(f"{elsewhere.name}:{tmp_path}/there", ssh=elsewhere.arguments, timeout_s=20)
    with pytest.raises(BackendError) as error:
        carry(source, there)
    assert error.value.transient
