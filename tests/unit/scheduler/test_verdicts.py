"""Rules: which one decides, in which order, and what is said of it."""

from typing import Any

import pytest

from tidewatt.scheduler.policies.rule import Barrier, Facts, Rule, Spot, Word
from tidewatt.scheduler.policies.verdicts import unreached, verdicts

EU, US = Spot("eu", ("eu-patient", "public*"), "c.toml:3"), Spot("us", ("public*",), "c.toml:9")
ADA = Facts("ada", frozenset({"staff"}), "vision", {"kind": "sweep"})


def rule(word: str, **fits: Any) -> Rule:
    return Rule(f"{word} {fits}", Word(word), "so it was decided", place="c.toml:20", **fits)


def words(facts: Facts, *rules: Rule, spots: tuple[Spot, ...] = (Spot("eu"), Spot("us"))) -> str:
    return " ".join(each.word for each in verdicts(facts, spots, rules))


def test_without_a_rule_everything_is_allowed() -> None:
    assert words(ADA) == "allow allow"


def test_first_rule_that_fits_decides() -> None:
    assert words(ADA, rule("prefer", regions=("eu",)), rule("forbid")) == "prefer forbid"
    assert words(ADA, rule("forbid"), rule("prefer", regions=("eu",))) == "forbid forbid"


@pytest.mark.parametrize(
    ("fits", "expected"),
    [
        ({"users": ("ada",)}, "forbid"),
        ({"users": ("bob", "a*")}, "forbid"),
        ({"users": ("bob",)}, "allow"),
        ({"groups": ("staff", "ops")}, "forbid"),
        ({"groups": ("ops",)}, "allow"),
        ({"projects": ("vis*",)}, "forbid"),
        ({"projects": ("",)}, "allow"),
        ({"labels": ("kind",)}, "forbid"),
        ({"labels": ("kind=sweep",)}, "forbid"),
        ({"labels": ("kind=final",)}, "allow"),
        ({"users": ("ada",), "projects": ("speech",)}, "allow"),
        ({"regions": ("e*",)}, "forbid"),
    ],
)
def test_all_that_a_rule_names_has_to_fit(fits: dict[str, tuple[str, ...]], expected: str) -> None:
    assert words(ADA, rule("forbid", **fits), spots=(Spot("eu"),)) == expected


def test_labelled_data_go_only_where_all_of_them_are_listed() -> None:
    facts = Facts("ada", labels={"data": "eu-patient, public-1"})
    found = verdicts(facts, (EU, US), (rule("allow"),))
    assert [each.word for each in found] == [Word.ALLOW, Word.FORBID]
    assert str(found[1]) == (
        "us: forbidden by residency of data (c.toml:9): its data eu-patient may not be worked on there"
        " (data: public*)"
    )


def test_region_that_lists_no_data_takes_no_labelled_ones() -> None:
    found = verdicts(Facts("ada", labels={"data": "x"}), (EU, Spot("local")), ())
    assert [each.word for each in found] == [Word.FORBID, Word.FORBID]
    assert found[1].because == "its data x may not be worked on there (data: none)"


def test_label_of_data_means_nothing_where_no_region_lists_any() -> None:
    assert words(Facts("ada", labels={"data": "imagenet"})) == "allow allow"


def test_data_do_not_go_where_no_way_leads() -> None:
    facts = Facts("ada", brings_data_from="us")
    spots = (Spot("eu"), Spot("us"))
    found = verdicts(facts, spots, (), (Barrier("us", "*", "c.toml:30"),))
    assert [each.word for each in found] == [Word.FORBID, Word.ALLOW]
    assert found[0].place == "c.toml:30"
    assert words(Facts("ada"), spots=spots) == "allow allow"


def test_rule_behind_one_that_fits_all_it_fits_is_never_reached() -> None:
    wide, narrow = rule("forbid", users=("a", "b")), rule("allow", users=("a",), regions=("eu",))
    assert unreached([wide, narrow]) == [(narrow, wide)]
    assert unreached([narrow, wide]) == []
