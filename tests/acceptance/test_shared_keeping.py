"""A shared server is backed up, restored and purged by root, who does nothing that a user could bend."""

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shared.server import ALICE, BOB, OPERATOR, Server, started

LOOT = "only root may read this"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = started()
    (found.root / "loot").write_text(LOOT)
    (found.root / "loot").chmod(0o600)
    yield found
    found.close()


def test_files_of_users_go_along_and_come_back_as_theirs_and_links_are_not_followed(server: Server) -> None:
    theirs = server.submitted(ALICE, "true", hold=True, env={"TOKEN": "hers"})
    bent = server.submitted(BOB, "true", hold=True)
    home = server.state / "jobs" / str(bent)
    server.be(BOB, lambda: (home / "loot").symlink_to(server.root / "loot"))
    server.be(BOB, lambda: (home / "folder").symlink_to(server.state / "keys"))
    server.be(BOB, lambda: os.mkfifo(home / "pipe"))
    file = server.root / "all.tar"
    assert "not yours to read" in server.tidewatt(ALICE, "--system", "backup", "mine.tar").err
    done = server.tidewatt(0, "--system", "backup", str(file))
    assert done.code == 0, done.err
    assert file.stat().st_mode & 0o777 == 0o600
    assert LOOT.encode() not in file.read_bytes()
    with tarfile.open(file) as archive:
        names = {entry.name: entry for entry in archive}
    assert (names[f"jobs/{bent}/loot"].issym(), f"jobs/{bent}/pipe" in names) == (True, False)
    assert not [name for name in names if name.startswith(f"jobs/{bent}/folder/")]

    there = server.root / "other"
    (there / "var/lib").mkdir(parents=True)
    more = {"TIDEWATT_SYSTEM_ROOT": str(there)}
    refused = server.tidewatt(0, "restore", str(file), env={"TIDEWATT_HOME": str(there / "own")})
    assert "is of a shared server" in refused.err
    put_back = server.tidewatt(0, "--system", "restore", "--json", str(file), env=more)
    assert put_back.code == 0, put_back.err
    restored = Path(put_back.json["home"])
    mine = restored / "jobs" / str(theirs)
    assert {path.lstat().st_uid for path in (mine, *mine.rglob("*"))} == {ALICE}
    assert (mine.stat().st_mode & 0o777, (mine / "env.json").stat().st_mode & 0o777) == (0o700, 0o600)
    assert "hers" in (mine / "env.json").read_text()
    assert (restored / "jobs" / str(bent) / "loot").is_symlink()
    assert restored.stat().st_mode & 0o777 == 0o711
    assert (restored / "keys" / "ledger.pem").stat().st_uid == 0


def test_a_purge_by_root_removes_nothing_to_which_a_users_folder_leads(server: Server) -> None:
    victim = server.submitted(ALICE, "true", hold=True, env={"TOKEN": "hers"})
    spared = server.state / "jobs" / str(victim)
    ended = server.submitted(BOB, "true")
    server.ended(ended)
    home = server.state / "jobs" / str(ended)

    def bend() -> None:
        (home / "7").symlink_to(spared)
        (home / "8").symlink_to(server.state / "keys")

    server.be(BOB, bend)
    request = {"user": str(BOB)}
    for uid in (BOB, OPERATOR):
        [(status, text)] = server.asked(uid, ("POST", "/api/v1/purge", request))
        assert (status, "only" in text) == (409, True)
    [(status, text)] = server.asked(0, ("POST", "/api/v1/purge", request))
    assert status == 200, text
    assert json.loads(text)["jobs"] == 1
    assert list(home.iterdir()) in ([], [home / "1"])
    assert (spared / "env.json").exists()
    assert (server.state / "keys" / "ledger.pem").exists()
    assert server.job(ended)["user"] == "purged"
    [(status, _)] = server.asked(BOB, ("GET", f"/api/v1/jobs/{ended}", None))
    assert status == 422
    assert server.tidewatt(0, "--system", "ledger", "check").code == 0


def test_operators_see_what_was_decided_but_not_the_rest_of_the_configuration(server: Server) -> None:
    [(status, text)] = server.asked(OPERATOR, ("GET", "/api/v1/decisions", None))
    assert status == 200
    number = json.loads(text)["decisions"][-1]["number"]
    [(_, text)] = server.asked(OPERATOR, ("GET", f"/api/v1/decisions/{number}", None))
    assert json.loads(text)["difference"] == []
    for path in ("decisions", "backup"):
        [(status, _)] = server.asked(BOB, ("GET", f"/api/v1/{path}", None))
        assert status == 409
