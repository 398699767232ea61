"""A badge says no more than its report does."""

from typing import Any
from xml.etree import ElementTree

import pytest

from tests.exports.made import group, report, total
from tidewatt.scheduler.exports.badge import statement, svg


def said(**more: Any) -> str:
    return statement(report(group("total", total(**more))))[0]


def test_verified_and_estimated_savings_are_named_so() -> None:
    assert said() == "800 g | verified saving 300 g"
    assert said(grade="estimated") == "800 g | estimated saving 300 g"


@pytest.mark.parametrize("grade", ["inconclusive", ""])
def test_saving_that_may_be_none_is_no_saving(grade: str) -> None:
    assert said(grade=grade) == "800 g | saving inconclusive"


def test_loss_is_a_loss() -> None:
    assert said(saved_feasible_g=-200.0, grade="estimated") == "800 g | 200 g more than in turn"


def test_signals_that_disagree_are_no_saving() -> None:
    whole = group("total", total(), total("marginal", saved_feasible_g=-9.0), signals_disagree=True)
    assert statement(report(whole))[0] == "800 g | signals disagree"


def test_nothing_known_is_said() -> None:
    assert statement(report(group("total")))[0] == "not known"
    assert statement(report(group("total", jobs=0)))[0] == "no jobs yet"
    assert said(saved_feasible_g=None, feasible_g=None) == "800 g"


def test_other_baseline_is_the_reports_own() -> None:
    assert "saving 200 g" in statement(report(group("total", total()), baseline="hypothetical"))[0]


def test_several_kinds_of_one_signal_have_no_sum() -> None:
    assert statement(report(group("total", total(), total(kind="other"))))[0] == "not known"


def test_badge_is_an_image_with_a_label() -> None:
    image = ElementTree.fromstring(svg(report()))
    assert image.get("aria-label") == "training CO₂: 800 g | verified saving 300 g"
    assert image.tag.endswith("svg")
