"""Savings in words: no sign is left to be understood the wrong way."""

import pytest

from tidewatt.scheduler.accounting.difference import less, less_between, less_than, named, share


@pytest.mark.parametrize(
    ("saved_g", "said"), [(0.0822, "82.2 mg less"), (-504e-6, "504 µg more"), (0.0, "no difference")]
)
def test_saving_is_less_and_loss_is_more(saved_g: float, said: str) -> None:
    assert less(saved_g) == said


@pytest.mark.parametrize(
    ("low_g", "high_g", "said"),
    [
        (9.0, 11.0, "9.00 g to 11.0 g less"),
        (-11.0, -9.0, "9.00 g to 11.0 g more"),
        (-1.0, 3.0, "1.00 g more to 3.00 g less"),
        (0.0, 3.0, "no difference to 3.00 g less"),
    ],
)
def test_range_names_both_sides_of_zero(low_g: float, high_g: float, said: str) -> None:
    assert less_between(low_g, high_g) == said


@pytest.mark.parametrize(
    ("signal", "saved_g", "said"),
    [
        ("average", -504e-6, "location-based footprint 504 µg more"),
        ("average", 0.0, "location-based footprint unchanged"),
        ("marginal", 316e-6, "estimated avoided emissions 316 µg"),
        ("marginal", -1.0, "no avoided emissions: an estimated 1.00 g more"),
        ("marginal", 0.0, "no avoided emissions"),
    ],
)
def test_each_signal_has_its_own_name(signal: str, saved_g: float, said: str) -> None:
    assert named(signal, saved_g) == said


def test_share_is_of_the_baseline_above_idle_and_has_no_sign() -> None:
    assert share(-0.5, 20.0) == "2.5 % of the draw above idle"
    assert share(1.0, None) == share(0.0, 20.0) == ""


def test_what_does_not_differ_is_the_same() -> None:
    assert less_than(0.3, "starting at once") == "300 mg less than starting at once"
    assert less_than(0.0, "starting at once") == "the same as starting at once"
