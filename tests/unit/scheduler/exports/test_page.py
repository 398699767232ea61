"""The page: complete without a network, honest in its headline, and safe with any name."""

import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exports.made import NOON, account, group, hold_out, job, ledger, receipt, report, total
from tidewatt.scheduler.accounting.equivalence import Equivalence
from tidewatt.scheduler.accounting.report_schema import NotOver, Report, ReportGroup
from tidewatt.scheduler.exports.charts import GridStep, diverging, dumbbell, interval, timeline
from tidewatt.scheduler.exports.facts import Facts, facts
from tidewatt.scheduler.exports.page import Contents, html

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}"
VOID = {"meta", "link", "img", "br", "rect", "path", "input", "hr"}


class Checked(HTMLParser):
    """Counts elements, gathers text, and finds tags that are not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.text += " "
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def page(whole: ReportGroup | None = None, receipts: list[Facts] | None = None, **more: Any) -> str:
    made = more.pop("report", None) or report(whole)
    shown = [receipt()] if receipts is None else receipts
    return html(Contents(made, more.pop("grouped", []), shown, NOON + timedelta(days=5), **more))


def grouped(*keys: str, by: str = "project") -> Report:
    return report(groups=[group(key, total(), total("marginal")) for key in keys], by=by)


def text_of(made: str) -> str:
    return " ".join(Checked(made).text.split())


def test_page_holds_all_that_it_needs() -> None:
    made = page(grouped=[grouped("nlp"), grouped("ada", by="user"), grouped("2026-03", by="month")])
    checked = Checked(made)
    assert checked.open == []
    assert "script" not in checked.tags
    loads = [
        value for name, value in checked.attributes if name in ("src", "href", "srcset", "data", "action")
    ]
    assert loads == []
    assert "url(" not in made
    assert "@import" not in made
    assert "default-src 'none'" in made
    assert ("lang", "en") in checked.attributes


def test_headline_has_interval_and_grade_and_absolute_numbers_beside() -> None:
    text = text_of(page())
    assert "300 g saved (30.0 % of the draw above idle) against starting in turn." in text
    assert "Grade: verified; 90 % interval 120 g to 460 g less" in text
    assert "Energy with PUE 3.25 kWh" in text
    assert "Emitted, average 800 g" in text


def test_signals_that_disagree_leave_no_headline() -> None:
    whole = group("total", total(), total("marginal", saved_feasible_g=-40.0), signals_disagree=True)
    text = text_of(page(whole))
    assert "The signals disagree: no saving is claimed." in text
    assert 'class="lead unsure"' in page(whole)
    assert "300 g saved" not in text
    assert "no claim" in text
    assert "-40.0 g" in text


@pytest.mark.parametrize(
    ("more", "headline"),
    [
        (
            {"saved_feasible_g": -40.0, "grade": "estimated"},
            "40.0 g more (4.0 % of the draw above idle) emitted than by starting in turn.",
        ),
        (
            {"grade": "estimated"},
            "An estimated 300 g saved (30.0 % of the draw above idle) against starting in turn.",
        ),
        (
            {"grade": "inconclusive"},
            "Inconclusive: 300 g less (30.0 % of the draw above idle), within the error of the numbers.",
        ),
        ({"saved_feasible_g": None, "feasible_g": None}, "No saving is settled yet."),
    ],
)
def test_headline_claims_no_more_than_is_known(more: dict[str, Any], headline: str) -> None:
    assert headline in text_of(page(group("total", total(**more))))


def test_nothing_ran() -> None:
    assert "No job ran and ended in this time." in text_of(page(group("total", jobs=0, final=0), []))


def test_jobs_that_have_run_and_are_not_over_are_told() -> None:
    for whole in (None, group("total", jobs=0, final=0)):
        text = text_of(page(report=report(whole, not_over=NotOver(jobs=2, attempts=3))))
        assert "2 jobs have run and are not over: in no number yet (of their attempts 3 ended)." in text


def test_levers_forecast_beside_and_method_are_there() -> None:
    whole = group("total", total(), jobs=4, unverified=2, unmetered=1)
    text = text_of(page(report=report(whole, hold_out=hold_out())))
    for said in (
        "By lever", "Time run when the grid was cleaner Saved, average +280 g", "Pauses", "-25.0 g",
        "Tidewatt itself", "-600 mg", "Forecast beside realised", "+350 g", "2 unverified", "1 not metered",
        "Hold-out, 10% of flexible jobs: 12 ran at once, 98 shifted; effect -120 g/kWh (-180 to -55)",
        "Tidewatt's own use: 2.00 Wh",
        "Method",
        "The share of 1 job in making the hardware: 20.0 g (10.0 g to 35.0 g), in no total",
        "gpu: measured (NVML energy counter)",
        "Not quantified grid.csv", "components only: node overhead not measured",
    ):  # fmt: skip
        assert said in text, said


def test_likenesses_carry_their_source() -> None:
    text = text_of(page(likenesses=[Equivalence("7.4 km by car", "107.5 g/km", "cars of 2020")]))
    assert "What these emissions are like 7.4 km by car 107.5 g/km; cars of 2020" in text
    assert "are like" not in text_of(page())


def test_groups_beyond_the_most_are_counted() -> None:
    text = text_of(page(grouped=[grouped(*(f"p{number}" for number in range(20)))]))
    assert "5 more are in the totals and not in this table." in text


def test_job_without_numbers_is_unknown_and_never_zero() -> None:
    bare = account(energy_j=None, facility_j=None, components=())
    text = text_of(page(group("total", facility_kwh=None, energy_kwh=None), [receipt(1, bare)]))
    assert "Energy with PUE not measured" in text
    assert "0 kWh" not in text


@pytest.mark.parametrize("where", ["project", "user", "name", "source", "key", "pue_source", "note"])
def test_hostile_names_are_text(where: str) -> None:
    more: dict[str, Any] = {where: HOSTILE} if where in ("project", "user", "name") else {}
    settled = account(
        ledger(),
        pue_source=HOSTILE if where == "pue_source" else "site",
        boundary=HOSTILE if where == "note" else "",
    )
    sources = (HOSTILE,) if where == "source" else ("grid.csv",)
    made = page(
        group("total", total(sources=sources)),
        facts([job(7, settled, **more)]),
        grouped=[grouped(HOSTILE if where == "key" else "nlp")],
    )
    checked = Checked(made)
    assert checked.open == []
    assert {"script", "img"} & set(checked.tags) == set()
    assert not any(name.startswith("on") for name, _ in checked.attributes)
    assert HOSTILE in checked.text


def test_letters_that_steer_are_written_out() -> None:
    made = page(receipts=[receipt(1, name="a\x00b\u202ec\nd")])
    assert "\x00" not in made
    assert "\u202e" not in made
    assert r"a\x00b\u202ec d" in text_of(made)


def test_tables_have_headers_for_readers_of_them() -> None:
    made = page(grouped=[grouped("nlp", "cv")])
    assert made.count("<table") == made.count("<thead")
    assert re.search(r'<th role="columnheader" scope="col">Project</th>', made)
    assert made.count('<th role="rowheader" scope="row">nlp</th>') == 1
    pictures = re.findall(r"<svg[^>]*>", made)
    assert pictures
    assert all('aria-hidden="true"' in each for each in pictures)


def test_grid_and_what_ran_in_it_are_said_in_words() -> None:
    hour = timedelta(hours=1)
    steps = [
        GridStep(NOON, NOON + hour, 400.0, None),
        GridStep(NOON + hour, NOON + 2 * hour, None, 1.0),
        GridStep(NOON + 2 * hour, NOON + 3 * hour, 100.0, 2.0),
    ]
    text = text_of(page(grid=steps, zone="Germany (DE)"))
    assert "Mean of the grid 250 g/kWh; of the energy used in it 100 g/kWh, Germany (DE)" in text
    assert timeline(steps).count("M") == 2  # a gap stays a gap


def test_charts_show_signs_by_side() -> None:
    assert 'class="lost" x="0.00"' in diverging(-10, -10, 30)
    assert 'class="saved" x="250.00"' in diverging(30, -10, 30)
    assert "dot-lost" in interval(-5, -1, 3)
    assert "dot-saved" in dumbbell(100, 50, 100)
    assert diverging(None, -1, 1) == timeline([]) == dumbbell(1, 1, 0) == ""


@given(st.text(max_size=40))
@settings(max_examples=20)
def test_any_name_leaves_the_page_as_it_is(name: str) -> None:
    plain = Checked(page(receipts=[receipt(1, name="x", project="y")]))
    named = Checked(page(receipts=[receipt(1, name=name, project=name)]))
    assert named.open == []
    assert [tag for tag in named.tags if tag != "small"] == [tag for tag in plain.tags if tag != "small"]


def test_title_and_heading_say_of_which_jobs_the_page_is() -> None:
    made = page(subject="project nlp")
    assert "<title>Energy and carbon of training: project nlp" in made
    assert "<h1>Energy and carbon of training: project nlp</h1>" in made
    assert "<h1>Energy and carbon of training</h1>" in page()


def test_saving_of_a_card_is_in_words_and_its_jobs_are_of_all_that_ended() -> None:
    text = text_of(page(group("total", total(saved_feasible_g=-40.0, grade="estimated"), jobs=13)))
    assert "Location-based footprint (average signal) 40.0 g more 4.0 % of the draw above idle" in text
    assert "Settled jobs 1 of 13 that ended" in text
