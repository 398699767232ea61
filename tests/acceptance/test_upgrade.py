"""Today's daemon in the place of an earlier one, whose jobs and supervisors are still there."""

import pytest

from tests.acceptance.conftest import House
from tests.older import past


@pytest.mark.parametrize("schema", past.SUPERVISORS)
def test_daemon_takes_over_what_an_earlier_one_left_running(house: House, schema: int) -> None:
    home = past.unpacked(schema, house.folder)
    attempt = home / "jobs/2/1"
    past.supervise(house.folder)
    house.until((attempt / "claim").exists)
    house.up("--zone", "DE")
    assert (home / f"tidewatt.db.{schema:04}").exists()
    assert house.job(past.DONE)["state"] == "done"
    assert house.job(past.RUNNING)["state"] == "running"
    assert "still here" in house.tidewatt("logs", str(past.RUNNING)).stdout
    pause = house.tidewatt("pause", str(past.RUNNING))
    if schema < 4:  # there were no pauses then
        assert pause.returncode == 1
        assert "started by an earlier version of Tidewatt" in pause.stderr
        assert house.job(past.RUNNING)["state"] == "running"
    else:
        house.until(lambda: house.job(past.RUNNING)["state"] == "paused")
        house.ask("resume", str(past.RUNNING))
        house.until(lambda: house.job(past.RUNNING)["state"] == "running")
    house.ask("release", str(past.HELD))
    assert house.ended(past.HELD)["state"] == "done"
    (house.work / "over").touch()
    ended = house.ended(past.RUNNING)
    assert (ended["state"], len(ended["attempts"]), ended["attempts"][0]["exit_code"]) == ("done", 1, 0)
    settled = house.until(lambda: house.job(past.RUNNING)["settlement"])
    assert settled["energy_j"] > 0
    checked = house.tidewatt("ledger", "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_job_of_an_earlier_supervisor_is_cancelled_as_any_other(house: House) -> None:
    home = past.unpacked(3, house.folder)
    past.supervise(house.folder)
    house.until((home / "jobs/2/1/claim").exists)
    house.up("--zone", "DE")
    house.ask("cancel", str(past.RUNNING))
    ended = house.ended(past.RUNNING)
    assert (ended["state"], len(ended["attempts"])) == ("cancelled", 1)
    assert [each for each in house.processes() if "still here" in " ".join(each.cmdline())] == []
