"""Colours of the style sheet: what is written can be read in both themes (WCAG 2.1, 1.4.3 and 1.4.11)."""

import re

import pytest

from tidewatt.scheduler.page.templating import STATIC

TEXT = [
    ("ink", "paper"), ("ink", "sheet"), ("soft", "paper"), ("soft", "sheet"), ("accent", "paper"),
    ("accent", "accent-soft"), ("on-accent", "accent"), ("warn", "warn-back"), ("warn", "paper"),
    ("bad", "bad-back"), ("bad", "paper"), ("good", "good-back"), ("good", "paper"), ("lost", "paper"),
    ("ink", "plan"),
]  # fmt: skip
LINES = [(f"line-{n}", "paper") for n in range(6)]


def themes() -> dict[str, dict[str, str]]:
    """The colours by theme."""
    sheet = (STATIC / "page.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", sheet, re.S)[:2]
    colours = re.compile(r"--([\w-]+): (#[0-9a-f]{6});")
    first = dict(colours.findall(light))
    return {"light": first, "dark": first | dict(colours.findall(dark))}


def luminance(colour: str) -> float:
    """Relative luminance by WCAG 2.1."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Their ratio, from 1 to 21."""
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("front", "behind"), TEXT)
def test_text_stands_out_from_what_lies_behind_it(theme: str, front: str, behind: str) -> None:
    colours = themes()[theme]
    assert contrast(colours[front], colours[behind]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("front", "behind"), LINES)
def test_curves_stand_out_from_the_paper(theme: str, front: str, behind: str) -> None:
    colours = themes()[theme]
    assert contrast(colours[front], colours[behind]) >= 3
