"""What an uninterrupted run of `counting.py` ends with."""

from pathlib import Path

from tests.training.counting import step

COUNTING = Path(__file__).with_name("counting.py")


def weight_of(steps: int) -> int:
    """The weight after so many steps."""
    weight = 1
    for number in range(steps):
        weight = step(weight, number)
    return weight
