"""A real daemon is backed up at work, is lost, and goes on from its backup; what tells of people goes."""

from tests.acceptance.conftest import House
from tidewatt.scheduler.exchange import UnixConnection
from tidewatt.scheduler.paths import paths

CONFIG = """
zone = "DE"
signal = "average"
"""


def test_a_lost_daemon_goes_on_from_its_backup_and_starts_nothing_twice(house: House) -> None:
    house.up(config=CONFIG)
    marks = house.work / "marks"
    ran = f"echo ran >> {marks}; sleep 60"
    runs = house.ask("submit", "--", "sh", "-c", ran)["job"]["id"]
    house.until(lambda: marks.exists())
    file = house.folder / "all.tar.gz"
    made = house.ask("backup", "--config", str(house.folder / "config.toml"), str(file))
    assert (made["left_out"], file.stat().st_mode & 0o777) == ([], 0o600)
    assert house.client().backups()["path"] == str(file)

    house.kill_daemon()
    house.home.rename(house.folder / "gone")
    kept = house.tidewatt("restore", str(file))
    assert kept.returncode == 0, kept.stderr
    assert f"job {runs} ran and can be followed again" in kept.stdout
    assert house.tidewatt("restore", str(file)).returncode == 2
    house.up()
    assert house.job(runs)["state"] == "running"
    house.tidewatt("cancel", str(runs))
    assert house.ended(runs)["state"] == "cancelled"
    assert marks.read_text().splitlines().count("ran") == 1
    assert house.tidewatt("ledger", "check").returncode == 0
    assert "restored" in {each["name"] for each in house.client().decisions()["decisions"]}


def test_an_operator_undoes_by_command_and_purges_and_the_page_shows_it(house: House) -> None:
    house.up(config=CONFIG)
    house.ask("submit", "--name", "my-secret-run", "--label", "case=hush-hush", "--", "true")
    house.ended(1)
    house.client().drain("local", {"reason": "fans"})
    undone = house.tidewatt("policy", "undo")
    assert "drain:local is now: in use" in undone.stdout
    assert house.client().status()["drains"] == []
    (house.folder / "config.toml").write_text(CONFIG + "[limits]\nrunning = 1\n")
    house.client().reload({})
    number = house.client().decisions()["decisions"][0]["number"]
    assert "+running = 1" in house.tidewatt("policy", "history", str(number)).stdout
    screen = page(house)
    assert "What was decided" in screen
    assert f'name="number" value="{number}"' in screen
    assert "No backup of this state folder is known" in screen

    dry = house.client().purge({"older_than_s": 0.5, "dry_run": True})
    assert (dry["jobs"], dry["purges"]) == (1, [])
    done = house.tidewatt("purge", "--older-than", "1s")
    assert "1 job purged" in done.stdout
    for file in house.home.rglob("*"):
        if file.is_file() and file.parent.name != "log":
            assert b"my-secret-run" not in file.read_bytes(), file
            assert b"hush-hush" not in file.read_bytes(), file
    check = house.tidewatt("ledger", "check")
    assert (check.returncode, "were purged by" in check.stdout) == (0, True)
    assert house.client().job(1)["user"] == "purged"


def page(house: House) -> str:
    """The system screen, as the daemon's own user sees it over the socket."""
    line = UnixConnection(paths(house.environ).socket, 10.0)
    try:
        line.request("GET", "/system")
        return line.getresponse().read().decode()
    finally:
        line.close()
