"""Rules in a configuration file: whatever is put there, nothing else of the file changes."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidewatt.scheduler.daemon import rule_file
from tidewatt.scheduler.errors import BadInput, Refused

FILE = """\
# A server.
zone = "DE"  # where it hangs

[[policy]]
name = "first"
verdict = "forbid"

[[region]]
name = "a"  # not a rule

[[policy]]
name = "second"
verdict = "allow"

[limits]
running = 3
"""


def file(folder: Path, text: str = FILE) -> rule_file.RuleFile:
    """It, read."""
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return rule_file.read(path)


def test_rules_are_told_from_the_rest(tmp_path: Path) -> None:
    rules = tomllib.loads(file(tmp_path).rules)
    assert [each["name"] for each in rules["policy"]] == ["first", "second"]
    assert set(rules) == {"policy", "limits"}


def test_the_same_rules_say_the_same(tmp_path: Path) -> None:
    found = file(tmp_path)
    assert tomllib.loads(found.with_rules(found.rules)) == tomllib.loads(FILE)


def test_comments_and_the_rest_stay(tmp_path: Path) -> None:
    made = file(tmp_path).with_rules('[[policy]]\nname = "only"\nverdict = "allow"')
    assert "# where it hangs" in made
    assert "# not a rule" in made
    assert [each["name"] for each in tomllib.loads(made)["policy"]] == ["only"]


@pytest.mark.parametrize(
    "text",
    [
        'zone = "FR"',
        '[[region]]\nname = "b"',
        '[[policy]]\nname = "a"\n[server]\ngroup = "all"',
        "[[policy]]\nname = ",
        '[[policy]]\nname = """open',
        "policy = 3\n[x]",
        '[[policy]]\nname = "\ud800"',
    ],
)
def test_nothing_but_rules_can_be_put_there(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput):
        file(tmp_path).with_rules(text)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet="[]policy\"=\n#'x1 limts", max_size=60))
def test_whatever_is_typed_the_rest_says_the_same(tmp_path: Path, text: str) -> None:
    found = file(tmp_path)
    try:
        made = tomllib.loads(found.with_rules(text))
    except BadInput:
        return
    rest = tomllib.loads(FILE)
    for values in (made, rest):
        for name in rule_file.EDITED:
            values.pop(name, None)
    assert made == rest


def test_what_stands_in_a_line_of_its_own_is_left_alone(tmp_path: Path) -> None:
    found = file(tmp_path, "shares = { vision = 2 }\n" + FILE)
    assert "shares" not in found.names
    made = tomllib.loads(found.with_rules("[limits]\nrunning = 5"))
    assert (made["shares"], made["limits"]) == ({"vision": 2}, {"running": 5})
    with pytest.raises(BadInput, match="'shares' is none"):
        found.with_rules("[shares]\nvision = 3")


def test_rules_that_do_not_stand_apart_are_left_to_an_editor(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="edit that file itself"):
        file(tmp_path, 'policy = [{ name = "a" }]\n')


def test_a_file_is_replaced_whole_with_its_rights_and_what_was_there_is_kept(tmp_path: Path) -> None:
    found = file(tmp_path)
    found.path.chmod(0o640)
    rule_file.put(found, found.with_rules(""))
    assert "policy" not in tomllib.loads(found.path.read_text(encoding="utf-8"))
    assert found.path.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "config.toml.before").read_text(encoding="utf-8") == FILE
