"""The unit of a shared daemon: it keeps jobs alive, and restricts nothing that they would inherit."""

from configparser import ConfigParser
from pathlib import Path

from tidewatt.scheduler.cli.app import command

UNIT = Path(__file__).resolve().parents[3] / "configs" / "tidewatt-system.service"
INHERITED = {"protectsystem", "protecthome", "privatetmp", "privatedevices", "devicepolicy"}
INHERITED |= {"nonewprivileges", "capabilityboundingset", "oomscoreadjust", "memorymax", "cpuquota", "nice"}


def service() -> ConfigParser:
    unit = ConfigParser(interpolation=None)
    unit.read(UNIT)
    return unit


def test_jobs_outlive_the_daemon_of_the_system() -> None:
    assert service()["Service"]["KillMode"] == "process"
    assert service()["Service"]["RuntimeDirectoryPreserve"] == "yes"


def test_jobs_inherit_no_restriction_of_the_unit() -> None:
    assert not INHERITED & set(service()["Service"])


def test_the_unit_starts_a_command_that_there_is() -> None:
    words = service()["Service"]["ExecStart"].split()[1:]
    flags = {name for each in command(words).commands[words[0]].params for name in each.opts}
    assert {word for word in words if word.startswith("--")} <= flags
