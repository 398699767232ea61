"""The page as a browser shows it: phones to wide screens, light and dark, on paper, and without a network."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.exports.browser import FAINT, WIDE, Browser, browser
from tests.exports.made import NOON, account, group, hold_out, ledger, receipt, report, total
from tidewatt.scheduler.accounting.equivalence import equivalences
from tidewatt.scheduler.accounting.report_schema import Report
from tidewatt.scheduler.exports.charts import GridStep
from tidewatt.scheduler.exports.page import Contents, html

LONG = "x" * 80
NAMES = ("nlp", "speech-recognition-multilingual-2026", LONG, "<b>bold</b>")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with a bit of everything."""
    hour = timedelta(hours=1)
    loss = total("marginal", saved_feasible_g=-40.0, grade="inconclusive")
    kinds = {
        by: report(groups=[group(name, total(), loss) for name in NAMES], by=by) for by in ("project", "user")
    }
    months: Report = report(groups=[group("2026-03", total(), loss)], by="month")
    grid = [
        GridStep(NOON + n * hour, NOON + (n + 1) * hour, 100.0 + 9 * n, 1.0 if n % 5 else None)
        for n in range(48)
    ]
    receipts = [
        receipt(1),
        receipt(2, account(ledger(actual_g=1200.0)), project=LONG, name=LONG, state="failed"),
    ]
    whole = group("total", total(), loss, jobs=9, unverified=3, unmetered=1)
    made = html(
        Contents(
            report(whole, hold_out=hold_out()), [*kinds.values(), months], receipts, NOON + 30 * hour,
            equivalences(8_000.0), grid, "Germany (DE)",
        )
    )  # fmt: skip
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(made, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def shown(
    tmp_path_factory: pytest.TempPathFactory, require_engine: Callable[[str], None]
) -> Iterator[Browser]:
    """One browser for all looks."""
    require_engine("chromium")
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.mark.parametrize("width", [320, 390, 768, 960, 1280, 1920])
def test_nothing_reaches_beyond_the_window(shown: Browser, page: Path, width: int) -> None:
    shown.open(page, width)
    assert shown.found(WIDE) == []
    assert shown.found("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_all_text_stands_out_from_what_lies_behind_it(
    shown: Browser, page: Path, width: int, dark: bool
) -> None:
    shown.open(page, width, dark=dark)
    assert shown.found(FAINT) == []
    assert shown.found("getComputedStyle(document.body).backgroundColor") == (
        "rgb(20, 24, 27)" if dark else "rgb(251, 251, 249)"
    )


def test_page_asks_nobody_for_anything(shown: Browser, page: Path) -> None:
    shown.open(page, 1280)
    assert shown.found("performance.getEntriesByType('resource').length + document.scripts.length") == 0


def test_bars_are_as_wide_as_their_cells_and_marks_stay_round(shown: Browser, page: Path) -> None:
    shown.open(page, 1280)
    widths = shown.found(
        "[...document.querySelectorAll('td svg.bar')].map(each => each.getBoundingClientRect().width)"
    )
    assert min(widths) > 40


def test_paper_is_white_even_for_readers_in_the_dark(shown: Browser, page: Path) -> None:
    shown.open(page, 800, dark=True, print_=True)
    assert shown.found("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert shown.found(FAINT) == []


def test_it_prints_on_few_pages_the_method_on_its_own(shown: Browser, page: Path) -> None:
    shown.open(page, 1280)
    document = shown.pdf()
    assert document.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", document)) <= 7
