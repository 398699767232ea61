"""Numbers are read back as they were, by readers that know no powers of ten."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewatt.scheduler.exports.fixed_point import fixed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0, "0"),
        (0.0, "0"),
        (12, "12"),
        (1.5e-05, "0.000015"),
        (-2.25, "-2.25"),
        (1e21, "1000000000000000000000"),
        (1 / 3, "0.333333333333"),
        (5e-324, "0." + "0" * 323 + "5"),
    ],
)
def test_numbers_are_written_in_fixed_point(value: float | None, text: str) -> None:
    assert fixed(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_text_is_the_number_to_twelve_digits_and_never_a_silent_zero(value: float) -> None:
    text = fixed(value)
    assert re.fullmatch(r"-?\d+(\.\d+)?", text)
    exact = Decimal(repr(value))
    assert abs(Decimal(text) - exact) <= abs(exact) * Decimal("1e-11")
    assert (Decimal(text) == 0) == (value == 0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_quantity_is_not_written(value: float) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        fixed(value)
