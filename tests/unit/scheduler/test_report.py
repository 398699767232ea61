"""Reports: what is summed, what stands beside, and how it is said."""

import csv
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tidewatt.scheduler.accounting.receipt import Ledger, Settlement
from tidewatt.scheduler.accounting.report import BY, ReportRow, report
from tidewatt.scheduler.accounting.report_schema import NotOver, Report
from tidewatt.scheduler.accounting.report_text import csv_text, lines, tables
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.jobs import SettlementState

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KWH_UJ = 3_600_000_000_000
HOUR_MS = 3_600_000
AVERAGE, MARGINAL = "average lifecycle CO2eq, production", "marginal direct CO2, production"


def ledger(
    emitted_g: float, actual_g: float, feasible_g: float | None, signal: str = "average", kind: str = ""
) -> Ledger:
    kind = kind or {"average": AVERAGE, "marginal": MARGINAL}[signal]
    feasible = None if feasible_g is None else round(feasible_g * 1e6)
    hypothetical = None if feasible is None else feasible + 1_000_000
    return Ledger(
        signal, "file grid.csv", kind, round(emitted_g * 1e6), round(actual_g * 1e6), feasible, hypothetical
    )


def receipt(
    state: SettlementState = SettlementState.FINAL,
    kwh: float | None = 1.0,
    *ledgers: Ledger,
    waited_h: int = 2,
) -> Settlement:
    energy = None if kwh is None else round(kwh * KWH_UJ)
    return Settlement(
        state=state,
        settled_at=NOON,
        method_version="1",
        energy_uj=energy,
        facility_uj=None if energy is None else energy * 3 // 2,
        pue_micro=1_500_000,
        pue_source="site",
        components=(),
        ledgers=ledgers,
        waited_ms=waited_h * HOUR_MS,
        held_back_ms=(waited_h - 1) * HOUR_MS,
        idle_gpu_ms=4 * (waited_h - 1) * HOUR_MS,
        feasible_start=NOON,
        digests=(("1.1", "sha256:0"),),
        notes=(),
    )


def row(
    job_id: int, settlement: Settlement | None, project: str = "nlp", user: str = "ada", day: int = 0
) -> ReportRow:
    return ReportRow(job_id, user, project, "local", NOON + timedelta(days=day), settlement)


ROWS = [
    row(1, receipt(SettlementState.FINAL, 1.0, ledger(120, 100, 150), ledger(90, 80, 75, "marginal"))),
    row(2, receipt(SettlementState.PROVISIONAL, 2.0, ledger(50, 40, 30)), project="vision", day=1),
    row(3, receipt(SettlementState.UNVERIFIED, 4.0, ledger(70, 60, None)), day=1),
    row(4, receipt(SettlementState.UNVERIFIED, 8.0), user="bob", day=2),
    row(5, receipt(SettlementState.NONE, 16.0), day=2),
    row(6, receipt(SettlementState.UNVERIFIED, None), project="", day=31),
    row(7, None, project="vision", day=31),
]


def test_provisional_and_final_jobs_are_in_the_savings_and_all_metered_ones_in_the_energy() -> None:
    total = report(ROWS, None).total
    average, marginal = total.signals
    assert (total.jobs, total.final, total.provisional, total.unverified, total.unsettled) == (7, 1, 1, 3, 2)
    assert (total.energy_kwh, total.facility_kwh, total.unmetered) == (31.0, 46.5, 1)
    assert (average.jobs, average.settled, average.emissions_g) == (3, 2, 240.0)
    assert (average.actual_g, average.feasible_g, average.saved_feasible_g) == (140.0, 180.0, 40.0)
    assert average.saved_hypothetical_g == 42.0
    assert (marginal.settled, marginal.saved_feasible_g) == (1, -5.0)
    assert (total.waited_h, total.held_back_h, total.idle_gpu_h) == (4.0, 2.0, 8.0)


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("none", ["all"]),
        ("project", ["(none)", "nlp", "vision"]),
        ("user", ["ada", "bob"]),
        ("region", ["local"]),
        ("day", ["2026-03-01", "2026-03-02", "2026-03-03", "2026-04-01"]),
        ("month", ["2026-03", "2026-04"]),
        ("job", ["1", "2", "3", "4", "5", "6", "7"]),
    ],
)
def test_groups_sum_to_the_total(by: str, keys: list[str]) -> None:
    made = report(ROWS, None, by)
    assert [group.key for group in made.groups] == keys
    for name in ("jobs", "final", "provisional", "unverified", "unsettled", "unmetered", "waited_h"):
        assert sum(getattr(group, name) for group in made.groups) == getattr(made.total, name), name
    assert sum(group.energy_kwh or 0 for group in made.groups) == made.total.energy_kwh
    saved = [
        each.saved_feasible_g or 0
        for group in made.groups
        for each in group.signals
        if each.signal == "average"
    ]
    assert sum(saved) == 40.0


def test_every_grouping_has_its_test() -> None:
    assert set(BY) == {"none", "project", "user", "region", "experiment", "day", "month", "job"}


def test_unknown_grouping_is_bad_input() -> None:
    with pytest.raises(BadInput, match=r"'colour'.*project, user"):
        report(ROWS, None, "colour")


def test_only_jobs_that_ended_since_then_are_counted() -> None:
    assert report(ROWS, NOON + timedelta(days=2)).total.jobs == 4
    assert report(ROWS, NOON + timedelta(days=2, seconds=1)).total.jobs == 2


def test_job_that_never_ran_is_no_job_of_a_report() -> None:
    never = replace(receipt(), digests=(), energy_uj=0)
    assert report([row(1, never)], None).total.jobs == 0


def test_kinds_of_one_signal_are_never_added() -> None:
    other = "average direct CO2, production"
    made = report(
        [
            row(1, receipt(SettlementState.FINAL, 1.0, ledger(9, 8, 10))),
            row(2, receipt(SettlementState.FINAL, 1.0, ledger(5, 4, 5, kind=other))),
        ],
        None,
    )
    assert [(each.kind, each.saved_feasible_g) for each in made.total.signals] == [
        (other, 1.0),
        (AVERAGE, 2.0),
    ]
    assert [table.title for table in tables(made)[1:]] == [
        f"{kind}: saved against starting in turn (% of above idle)" for kind in (other, AVERAGE)
    ]


@pytest.mark.parametrize("state", [SettlementState.UNVERIFIED, SettlementState.NONE])
def test_savings_of_jobs_that_are_not_settled_stay_out(state: SettlementState) -> None:
    (average,) = report([row(1, receipt(state, 1.0, ledger(9, 8, 10)))], None).total.signals
    assert (average.emissions_g, average.settled, average.saved_feasible_g) == (9.0, 0, None)


def test_nothing_known_is_none_and_not_zero() -> None:
    total = report([row(6, receipt(SettlementState.UNVERIFIED, None))], None).total
    assert (total.energy_kwh, total.facility_kwh, total.signals) == (None, None, ())


def test_disagreeing_signals_are_told() -> None:
    made = report(ROWS, None)
    assert made.total.signals_disagree
    assert any("signals disagree" in line for line in lines(made))
    agreeing = row(1, receipt(SettlementState.FINAL, 1.0, ledger(9, 8, 10), ledger(9, 8, 10, "marginal")))
    assert not report([agreeing], None).total.signals_disagree


def test_sentences_name_each_saving_by_its_signal() -> None:
    text = "\n".join(lines(report(ROWS, None)))
    assert "g above idle, instead of 180 g by starting in turn: location-based footprint 40.0 g less" in text
    assert "(22.2 % of the draw above idle, 2 settled, 3 unverified beside them)" in text
    assert "no avoided emissions: an estimated 5.00 g more (6.7 % of the draw above idle, " in text
    assert "7 jobs ran: 1 final; 1 provisional, to be restated; 3 unverified" in text
    assert "31.0 kWh at the machines, 46.5 kWh with PUE; 1 not metered." in text
    assert "waited 4.0 h since submission and 2.0 h past their turn; 8.0 GPU-hours" in text


def test_report_of_nothing_says_so() -> None:
    assert lines(report([], None)) == ["No job ran and ended in this time."]


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            NotOver(jobs=2, attempts=3),
            "2 jobs have run and are not over: in no number yet (of their attempts 3 ended).",
        ),
        (
            NotOver(jobs=1, attempts=0),
            "1 job has run and is not over: in no number yet (of its attempts none ended).",
        ),
        (
            NotOver(jobs=1, attempts=1, of="any project"),
            "1 job (of any project) has run and is not over: in no number yet (of its attempts 1 ended).",
        ),
    ],
)
def test_jobs_that_are_not_over_are_told_and_in_no_sum(found: NotOver, sentence: str) -> None:
    made = report(ROWS, None, not_over=found)
    assert made.total == report(ROWS, None).total
    assert lines(made)[1] == sentence
    assert lines(report([], None, not_over=found))[1:] == [sentence]


@pytest.mark.parametrize("found", [None, NotOver(jobs=0, attempts=0)])
def test_nothing_is_said_of_jobs_that_are_not_over_where_there_is_none(found: NotOver | None) -> None:
    assert not [line for line in lines(report(ROWS, None, not_over=found)) if "not over" in line]


def test_tables_have_a_row_for_each_group_and_the_total() -> None:
    energy, average, marginal = tables(report(ROWS, None, "user"))
    assert energy.titles == ("user", "jobs", "energy", "with PUE", "waited", "GPU idle")
    assert energy.rows[2] == ("total", "7", "31.0 kWh", "46.5 kWh", "4.0 h", "8.0 h")
    assert [line[0] for line in average.rows] == ["ada", "bob", "total"]
    assert average.rows[0][:4] == ("ada", "240 g", "+40.0 g", "+22.2%")
    assert average.rows[1] == ("bob", "unknown", "unknown", "", "", "", "")
    assert marginal.rows[0] == ("ada", "90.0 g", "-5.00 g", "-6.7%", "not known", "", "inconclusive")
    assert marginal.title == "marginal: saved against starting in turn (% of above idle)"


def test_csv_columns_sum_to_the_report_and_what_is_unknown_stays_empty() -> None:
    made = report(ROWS, None, "project")
    read = list(csv.DictReader(csv_text(made).splitlines()))
    assert [line["project"] for line in read] == ["(none)", "nlp", "vision"]
    assert sum(float(line["energy_kwh"] or 0) for line in read) == made.total.energy_kwh
    assert sum(float(line["average_saved_feasible_g"] or 0) for line in read) == 40.0
    assert read[0]["energy_kwh"] == read[0]["average_emissions_g"] == ""
    assert read[1]["marginal_saved_feasible_g"] == "-5"


def test_csv_never_writes_powers_of_ten() -> None:
    tiny = row(1, receipt(SettlementState.FINAL, 1e-9, ledger(0.000015, 0.000015, 0.000016)))
    text = csv_text(report([tiny], None))
    assert "e-" not in text.splitlines()[1]
    assert "0.000015" in text


def test_report_travels_as_json() -> None:
    made = report(ROWS, NOON, "day")
    assert Report.model_validate_json(made.model_dump_json()) == made
