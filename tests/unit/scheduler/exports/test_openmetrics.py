"""Metrics: names and forms by the rules, and only what is known."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exports.made import GPU, account, group, job, ledger, part, report, total
from tests.exports.metric_rules import mistakes
from tidewatt.scheduler.exports.openmetrics import content_type, text
from tidewatt.scheduler.schemas import IntervalView


def lines(page: str, name: str) -> list[str]:
    return [line for line in page.splitlines() if line.startswith((f"{name}{{", f"{name} "))]


def test_page_keeps_the_rules_of_names() -> None:
    assert mistakes(text([job(1), job(2, project="vision")], report())) == []


@pytest.mark.parametrize(
    ("page", "mistake"),
    [
        ("# TYPE a_joules_total counter\na_joules_total 1\n", "no help"),
        ("# HELP a_kwh x\n# TYPE a_kwh gauge\na_kwh 1\n", "no base unit"),
        ("# HELP a_joules x\n# TYPE a_joules counter\na_joules 1\n", "_total is for counters"),
        ("# HELP a_total x\n# TYPE a_total gauge\na_total 1\n", "_total is for counters"),
        ("# HELP a_joules x\n# TYPE a_joules gauge\na_joules 1.5e-05\n", "fixed point"),
        ("# HELP a_joules x\n# TYPE a_joules gauge\na_joules 1\na_joules 2\n", "told 2 times"),
        ("# HELP aJoules x\n# TYPE aJoules gauge\naJoules 1\n", "snake case"),
        ("# HELP a_kg x\n# TYPE a_kg gauge\na_kg 1\n", "abbreviation"),
        ("# HELP a_joules_x x\n# TYPE a_joules_x gauge\na_joules_x 1\n", "not at its end"),
        ('# HELP a x\n# TYPE a gauge\na{b="c\n', "no sample"),
    ],
)
def test_linter_finds_what_promtool_finds(page: str, mistake: str) -> None:
    assert any(mistake in each for each in mistakes(page)), mistakes(page)


def test_energy_is_a_counter_by_component_and_method() -> None:
    page = text([job()], report())
    labels = f'job="7",project="nlp",user="ada",gpu_uuid="{GPU}",method="measured"'
    [gpu] = lines(page, "tidewatt_job_gpu_joules_total")
    assert gpu == f"tidewatt_job_gpu_joules_total{{{labels}}} 7200000"
    assert 'method="modelled"' in lines(page, "tidewatt_job_cpu_joules_total")[0]


def test_losses_are_negative_gauges() -> None:
    page = text([job(settlement=account(ledger(saved_feasible_g=-40.0)))], report())
    assert 'baseline="feasible"} -40' in "\n".join(lines(page, "tidewatt_job_saved_grams"))
    assert "# TYPE tidewatt_job_saved_grams gauge" in page


def test_what_is_not_known_has_no_sample() -> None:
    bare = account(components=(part("gpu", None, "missing", coverage=0.0),), energy_j=None, facility_j=None)
    page = text([job(settlement=bare)], report(group("total", energy_kwh=None, facility_kwh=None)))
    assert lines(page, "tidewatt_job_gpu_joules_total") == []
    assert lines(page, "tidewatt_report_energy_joules") == []
    assert len(lines(page, "tidewatt_job_metered_ratio")) == 1


def test_sums_have_their_interval() -> None:
    page = text([], report(group("total", total())))
    assert lines(page, "tidewatt_report_saved_low_grams")[0].endswith(" 120")
    assert lines(page, "tidewatt_report_saved_covered_ratio")[0].endswith(" 0.97")
    assert lines(page, "tidewatt_report_jobs")[1] == 'tidewatt_report_jobs{state="final"} 1'


def test_an_interval_of_no_known_error_has_no_ends() -> None:
    bare = IntervalView(
        low_g=300.0, high_g=300.0, draws=2000, quantified=(), not_quantified=("x",), covered=0.0
    )
    page = text([], report(group("total", total(interval=bare))))
    assert lines(page, "tidewatt_report_saved_low_grams") == []


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "a\rb", "a\u2028b", 'x"} 1\nevil 2'])
def test_hostile_label_stays_a_label(name: str) -> None:
    page = text([job(project=name)], report())
    assert mistakes(page) == []
    assert not any(line.startswith("evil") for line in page.splitlines())


def test_openmetrics_names_families_without_total_and_ends() -> None:
    page = text([job()], report(), openmetrics=True)
    assert "# TYPE tidewatt_job_gpu_joules counter" in page
    assert "# UNIT tidewatt_job_gpu_joules joules" in page
    assert page.endswith("# EOF\n")
    assert content_type(openmetrics=True).startswith("application/openmetrics-text")


@given(st.text(max_size=40), st.text(max_size=40))
@settings(max_examples=30)
def test_any_name_keeps_the_rules(project: str, source: str) -> None:
    assert (
        mistakes(text([job(project=project, settlement=account(ledger(), pue_source=source))], report()))
        == []
    )
