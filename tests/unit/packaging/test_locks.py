"""The locks hold what the project asks for, with hashes, from no place in particular."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
NAMES = ("base", "dev", "clients", "trackers")
LOCKS = {name: (ROOT / "requirements" / f"{name}.txt").read_text() for name in NAMES}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BASE = [
    *PROJECT["project"]["dependencies"],
    *PROJECT["project"]["optional-dependencies"]["pictures"],
    *PROJECT["build-system"]["requires"],
]
DEV = BASE + PROJECT["dependency-groups"]["dev"]


def pins(lock: str) -> dict[str, str]:
    """Locked version by canonical name."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", LOCKS[lock], re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


@pytest.mark.parametrize(("lock", "wanted"), [("base", BASE), ("dev", DEV)])
def test_lock_holds_a_fitting_version_of_all_that_is_asked_for(lock: str, wanted: list[str]) -> None:
    locked = pins(lock)
    for text in wanted:
        requirement = Requirement(text)
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), text


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash(lock: str) -> None:
    entries = re.split(r"\n(?=[A-Za-z0-9])", LOCKS[lock].rstrip())
    packages = [entry for entry in entries if not entry.lstrip().startswith("#")]
    assert len(packages) == len(pins(lock))
    assert [entry.split()[0] for entry in packages if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_place_to_get_packages_from(lock: str) -> None:
    assert re.findall(r"https?:|file:/|--(?:extra-)?index-url|--find-links|--trusted-host", LOCKS[lock]) == []


def test_both_locks_agree() -> None:
    dev = pins("dev")
    assert pins("base").items() <= dev.items()
