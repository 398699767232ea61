"""On a shared server each user's wishes are read, and their notices sent, with that user's rights."""

import os
import pwd
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.notices.sinks import web_hook
from tidewatt.backends.backend import Owner
from tidewatt.scheduler.daemon import notifying
from tidewatt.scheduler.notices.sending import sent
from tidewatt.scheduler.notices.table import NotifyTable

ALICE = Owner(61001, 61001, (61001,), "alice")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def _home(folder: Path, mode: int, uid: int) -> Path:
    file = folder / ".config" / "tidewatt" / "notify.toml"
    file.parent.mkdir(parents=True)
    file.write_text('urls = ["json://127.0.0.1:9/"]\nevents = ["failed"]\n', encoding="utf-8")
    file.chmod(mode)
    os.chown(file, uid, uid)
    for each in (folder, folder / ".config", file.parent):
        os.chown(each, ALICE.uid, ALICE.gid)
        each.chmod(0o700)
    return file


def _read(monkeypatch: pytest.MonkeyPatch, home: Path) -> NotifyTable:
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_dir=str(home)))
    monkeypatch.setattr(notifying, "owner", lambda uid, gid: ALICE)
    return notifying.Notifier._read(SimpleNamespace(), ALICE.uid)  # type: ignore[arg-type] # it needs nothing else


def test_a_user_s_own_file_is_read(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_home.chmod(0o711)
    home = own_home / "alice"
    home.mkdir()
    _home(home, 0o600, ALICE.uid)
    table = _read(monkeypatch, home)
    assert (table.events, len(table.targets())) == (("failed",), 1)


def test_a_link_to_what_the_user_could_not_read_leads_nowhere(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_home.chmod(0o711)
    home = own_home / "alice"
    home.mkdir()
    file = _home(home, 0o600, 0)  # root's own
    assert _read(monkeypatch, home).targets() == ()
    secret = own_home / "root.toml"
    secret.write_text('urls = ["json://127.0.0.1:9/"]\n', encoding="utf-8")
    secret.chmod(0o600)
    file.unlink()
    file.symlink_to(secret)
    assert _read(monkeypatch, home).targets() == ()


def test_sending_is_asked_for_with_the_user_s_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    run = subprocess.run

    def looking(command: list[str], **more: Any) -> Any:
        asked.update(more)
        return run(command, **{name: value for name, value in more.items() if name not in _RIGHTS})

    monkeypatch.setattr(subprocess, "run", looking)
    with web_hook() as hook:
        assert sent([f"json://127.0.0.1:{hook.port}/"], [{"title": "a", "body": "b"}], ALICE) == [[]]
    assert [asked[name] for name in _RIGHTS] == [61001, 61001, [61001]]


_RIGHTS = (
    "user",
    "group",
    "extra_groups",
)  # the interpreter of a checkout may lie where no other user reaches it
