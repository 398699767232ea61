"""CodeCarbon's files beside ours: which run was which job, and what makes the difference."""

from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exports.made import NOON, attempt, receipt
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.exports.codecarbon import COLUMNS, csv_text
from tidewatt.scheduler.exports.comparison import compare, lines
from tidewatt.scheduler.exports.their_csv import Tracked, parsed, read

OLD = """timestamp,experiment_id,project_name,duration,emissions,energy_consumed,country_name
2026-03-01T13:00:00,x,nlp,3600.0,1.04,2.6,Germany
"""

WRITTEN = (
    ",".join(COLUMNS)
    + """
2026-03-01T13:00:00,vision,4fcff036-b2f4-45d2-9599-212461f4064f,5b0fa12a-3dd7-45bb-9766-cc326314d9f1,\
2.0547589380003046,5.9669147102367345e-06,2.9039487795311636e-06,5.598921596399404,0.0,20.0,\
4.474635515202791e-06,0.0,1.1188613494474943e-05,1.5663249009677738e-05,0.0,Germany,DEU,,,,Linux,3.11.7,3.3.2,\
2,AMD EPYC,0,,,,23.540584564208984,machine,0.0,0,8.5,2.0104827880859375,N,1.0,0.0
"""
)  # by CodeCarbon's own tracker


def tracked(**more: Any) -> Tracked:
    known: dict[str, Any] = {
        "line": 2,
        "run_id": "",
        "project": "nlp",
        "start": NOON,
        "end": NOON + timedelta(hours=1),
        "emissions_kg": 1.3,
        "energy_kwh": 3.0,
        "parts_kwh": {"cpu": 0.5, "gpu": 2.5},
        "pue": 1.5,
        "country": "Germany",
        "tracking_mode": "machine",
        "version": "3.3.2",
    }
    return Tracked(**(known | more))


def test_own_file_compares_equal() -> None:
    receipts = [receipt(1), receipt(2, project="vision")]
    runs = parsed(csv_text(receipts).splitlines(), "emissions.csv", UTC)
    pairs = compare(runs, receipts)
    assert [(pair.job, pair.matched_by) for pair in pairs] == [("1", "run id"), ("2", "run id")]
    for pair in pairs:
        assert pair.theirs_kwh == pytest.approx(pair.ours_kwh)
        assert pair.theirs_g == pytest.approx(pair.ours_g)
        assert all(abs(share.grams) < 1e-6 for share in pair.shares)


def test_file_of_an_old_version_is_read_and_matched_by_time_and_project() -> None:
    [pair] = compare(parsed(OLD.splitlines(), "emissions.csv", UTC), [receipt(1, project="cv"), receipt(2)])
    assert (pair.job, pair.matched_by) == ("2", "time and project")
    assert (pair.theirs_kwh, pair.theirs_g) == (2.6, 1040.0)
    assert "its file has no PUE: 1 is taken" in pair.notes


def test_file_that_its_tracker_wrote_is_read() -> None:
    [run] = parsed(WRITTEN.splitlines(), "emissions.csv", UTC)
    assert (run.pue, run.tracking_mode, run.version) == (1.0, "machine", "3.3.2")
    assert run.emissions_kg == 5.9669147102367345e-06
    assert sum(run.parts_kwh.values()) == pytest.approx(run.energy_kwh)
    assert run.gco2_per_kwh == pytest.approx(380.95, abs=0.01)
    [pair] = compare([run], [receipt()])
    assert (pair.job, pair.matched_by) == ("7", "time")
    assert "it tracked 2 s, the job held its machine for 3,600 s" in pair.notes


def test_difference_is_told_apart_exactly() -> None:
    [pair] = compare([tracked()], [receipt()])
    assert pair.ours_g is not None
    assert sum(share.grams for share in pair.shares) == pytest.approx(pair.theirs_g - pair.ours_g)
    by_cause = {share.cause: share for share in pair.shares}
    assert by_cause["energy"].grams == pytest.approx((2.0 - 2.6) * 1.25 * 800 / 3.25)
    assert "433 g/kWh" in by_cause["intensity"].why
    assert "it tracked the whole machine, Tidewatt the job's share of it" in pair.notes
    assert "ram: Tidewatt has 100 Wh, it has nothing" in pair.notes
    assert "cpu: Tidewatt's number is modelled" in pair.notes


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.floats(1.0, 3.0) | st.none(), st.floats(1.0, 1e6))
def test_parts_of_a_difference_sum_to_it(kwh: float, kg: float, pue: float | None, seconds: float) -> None:
    run = tracked(energy_kwh=kwh, emissions_kg=kg, pue=pue, end=NOON + timedelta(seconds=seconds), run_id="7")
    [pair] = compare([run], [receipt()])
    assert pair.ours_g is not None
    assert sum(share.grams for share in pair.shares) == pytest.approx(
        pair.theirs_g - pair.ours_g, abs=1e-6, rel=1e-6
    )


def test_label_names_the_run() -> None:
    [pair] = compare([tracked(run_id="ab-12")], [receipt(1), receipt(2, labels={"run_id": "ab-12"})])
    assert (pair.job, pair.matched_by) == ("2", "run id")


def test_run_at_another_time_belongs_to_no_job() -> None:
    late = tracked(start=NOON + timedelta(minutes=40), end=NOON + timedelta(minutes=140))
    [pair] = compare([late], [receipt()])
    assert (pair.job, pair.shares) == ("", ())
    assert "0 of 1 runs belong to a job" in lines([pair])[-1]


def test_run_of_no_length_is_no_mistake() -> None:
    [pair] = compare([tracked(end=NOON)], [receipt(attempts=(attempt(ended=NOON),))])
    assert pair.job == ""


def test_comparison_reads_as_sentences() -> None:
    text = "\n".join(lines(compare([tracked()], [receipt()])))
    assert "CodeCarbon 2.00 kWh, Tidewatt 2.60 kWh at the machine (-23.1 %)" in text.replace("%", " %")
    assert "Over these CodeCarbon says 1.30 kg, Tidewatt 800 g" in text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no column 'timestamp'"),
        ("a,b\n1,2\n", "no column 'timestamp'"),
        ("timestamp,duration,emissions\nyesterday,1,1\n", "line 2: timestamp 'yesterday'"),
        ("timestamp,duration,emissions\n2026-03-01,-1,1\n", "line 2: duration is '-1'"),
        ("timestamp,duration,emissions\n2026-03-01,1,inf\n", "line 2: emissions is 'inf'"),
        ("timestamp,duration,emissions\n2026-03-01,1,\n", "line 2: duration or emissions is empty"),
        ("timestamp,duration,emissions\n2026-03-01,1e300,1\n", "impossible"),
        ("timestamp,duration,emissions,pue\n2026-03-01,1,1,many\n", "pue is 'many'"),
    ],
)
def test_bad_file_is_one_sentence_with_its_line(text: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "emissions.csv"
    file.write_text(text)
    with pytest.raises(BadInput, match=complaint):
        read(file)


def test_binary_and_missing_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="is no text"):
        read(tmp_path / "x.csv")
    with pytest.raises(BadInput, match="cannot be read"):
        read(tmp_path / "none.csv")
