"""Queues of jobs as files: what is read, and what is said about a wrong cell."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.plan import GpuKind, Pausing
from tidewatt.scheduler.queue_files import JobTable, read_jobs

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
HOUR_MS = 3_600_000


def written(folder: Path, text: str, name: str = "jobs.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def table(folder: Path, text: str) -> JobTable:
    return read_jobs(written(folder, text), NOW)


def test_row_of_a_csv_is_a_job(tmp_path: Path) -> None:
    found = table(
        tmp_path,
        "# a comment\n"
        "id,release,duration_s,finish_by,gpus,gpu_kind,power_w,home,regions,priority,data_gb,user\n"
        "7,2026-03-01T02:00:00+01:00,3600.5,2026-03-01T09:00Z,2,a100;h100:speed=2,500,west,west;east,3,40,ada\n",
    )
    assert (found.ids.tolist(), found.work_ms.tolist(), found.gpus.tolist()) == ([7], [3_600_500], [2])
    assert found.release_ms.tolist() == [NOW_MS + HOUR_MS]
    assert found.due_ms.tolist() == [NOW_MS + 9 * HOUR_MS]
    assert found.kinds == [(GpuKind("a100"), GpuKind("h100", speed=2.0))]
    assert (found.kw.tolist(), found.assumed.tolist()) == ([0.5], [False])
    assert (found.home, found.regions, found.user) == (["west"], [("west", "east")], ["ada"])
    assert (found.priority.tolist(), found.data_gb.tolist()) == ([3], [40.0])


def test_what_is_left_out_is_usual(tmp_path: Path) -> None:
    found = table(tmp_path, "duration_s,slack_h,gpus\n7200,3,\n60,0.5,0\n")
    assert found.ids.tolist() == [1, 2]
    assert found.release_ms.tolist() == [NOW_MS] * 2
    assert found.due_ms.tolist() == [NOW_MS + 5 * HOUR_MS, NOW_MS + 60_000 + HOUR_MS // 2]
    assert (found.gpus.tolist(), found.cpus.tolist()) == ([1, 0], [1, 1])
    assert (found.kw.tolist(), found.assumed.tolist()) == ([0.3, 0.01], [True, True])
    assert (found.kinds, found.regions, found.pausing) == ([(), ()], [(), ()], {})


def test_slack_of_the_regions_file_is_granted_to_who_states_none(tmp_path: Path) -> None:
    path = written(tmp_path, "duration_s\n3600\n")
    found = read_jobs(path, NOW, timedelta(hours=2))
    assert found.due_ms.tolist() == [NOW_MS + 3 * HOUR_MS]


def test_csv_parquet_and_json_say_the_same(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "release": NOW, "duration_s": 600, "slack_h": 1.0, "regions": ["a", "b"]},
        {"id": 2, "release": NOW, "duration_s": 900, "slack_h": 2.0, "regions": []},
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "jobs.parquet")
    text = json.dumps([row | {"release": NOW.isoformat()} for row in rows])
    csv = "id,release,duration_s,slack_h,regions\n1,2026-03-01T00:00Z,600,1,a;b\n2,2026-03-01T00:00Z,900,2,\n"
    tables = [
        read_jobs(tmp_path / "jobs.parquet", NOW),
        read_jobs(written(tmp_path, text, "jobs.json"), NOW),
        read_jobs(written(tmp_path, f'{{"jobs": {text}}}', "more.json"), NOW),
        read_jobs(written(tmp_path, csv), NOW),
    ]
    for each in tables[1:]:
        for name in ("ids", "release_ms", "due_ms", "work_ms", "gpus", "kw"):
            np.testing.assert_array_equal(getattr(each, name), getattr(tables[0], name))
        assert each.regions == tables[0].regions == [("a", "b"), ()]


def test_job_waits_for_others_of_the_file(tmp_path: Path) -> None:
    found = table(tmp_path, "id,duration_s,slack_h,after\n5,60,1,\n6,60,1,5\n9,60,1,6;5\n")
    assert found.before.tolist() == [[0, 1], [1, 2], [0, 2]]


def test_pausable_job_says_how_it_takes_pauses(tmp_path: Path) -> None:
    found = table(
        tmp_path,
        "duration_s,slack_h,pausable,checkpoint_s,restart_s,restart_wh,max_pauses,moves\n"
        "3600,4,true,30,60,12,2,yes\n3600,4,false,,,,,\n",
    )
    pausing = Pausing(
        checkpoint=timedelta(seconds=30),
        restart=timedelta(seconds=60),
        restart_wh=12.0,
        max_pauses=2,
        moves=True,
    )
    assert found.pausing == {0: pausing}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("duration_s,slack_h\n", "holds no job"),
        ("id,slack_h\n1,2\n", "column duration_s is missing"),
        ("duration_s,slak_h\n60,1\n", "column 'slak_h' is not known: did you mean slack_h"),
        ("duration_s,duration_s\n60,1\n", "a column is there twice"),
        ("duration_s,slack_h\n60,1\n60\n", "line 3: 1 values, but there are 2 columns"),
        ("duration_s,slack_h\n# why\n60,1\nlong,1\n", "line 4, column duration_s: 'long' is not a number"),
        ("duration_s,slack_h\n0,1\n", "line 2, column duration_s: 0 is not more than 0$"),
        (
            "duration_s,slack_h\n,1\n",
            "line 2, column duration_s: the cell is empty",
        ),
        ("duration_s,slack_h\nnan,1\n", "line 2, column duration_s"),
        ("duration_s,slack_h\n60,-1\n", "line 2, column slack_h: -1 is not at least 0$"),
        ("duration_s,slack_h\n1e9,1\n", "column duration_s: 1e9 is not at most 366 days$"),
        ("duration_s,slack_h\n60,1e5\n", "column slack_h: 1e5 is not at most 366 days$"),
        ("duration_s,slack_h,gpus\n60,1,9e9\n", "column gpus: 9e9 is not at most 1,000,000$"),
        (
            "duration_s,finish_by\n60,9999-12-31T00:00Z\n",
            "column finish_by: 9999-.* is over a year away",
        ),
        ("duration_s,finish_by\n60,2027-03-03T00:00Z\n", "line 2, column finish_by: .* is over a year away"),
        ("duration_s,slack_h,release\n60,1,2036-03-01T13:00Z\n", "column release: .* is over a year away"),
        (
            "duration_s,finish_by,release\n60,2026-03-02T00:00Z,2026-03-03T00:00Z\n",
            "line 2, column finish_by: the deadline 2026-03-02 00:00 UTC is not after the release",
        ),
        ("duration_s\n60\n", "column finish_by: there is neither finish_by nor slack_h"),
        ("duration_s,slack_h,finish_by\n60,1,2026-03-02T00:00Z\n", "column slack_h: finish_by is given too"),
        ("duration_s,finish_by\n60,2026-03-02T00:00\n", "column finish_by: .* is not a time with its zone"),
        ("duration_s,finish_by\n60,tomorrow\n", "column finish_by: 'tomorrow' is not a time"),
        ("duration_s,slack_h,gpus\n60,1,1.5\n", "column gpus: '1.5' is not a whole number"),
        (
            "duration_s,slack_h,gpu_kind\n60,1,h100:speed=fast\n",
            "column gpu_kind: 'h100:speed=fast' is no kind",
        ),
        ("id,duration_s,slack_h\n1,60,1\n1,60,1\n", "line 3, column id: 1 is there twice"),
        ("id,duration_s,slack_h,after\n1,60,1,2\n", "column after: '2' is no other job of this file"),
        ("id,duration_s,slack_h,after\n1,60,1,1\n", "column after: '1' is no other job"),
        (
            "id,duration_s,slack_h,after\n1,60,1,2\n2,60,1,1\n",
            "line 2, column after: this job waits for others that wait for it",
        ),
        ("duration_s,slack_h,pausable\n60,1,maybe\n", "column pausable: 'maybe' is neither true nor false"),
        ("duration_s,slack_h,release,submitted\n60,1,,\n", "submitted and release are the same column"),
    ],
)
def test_mistake_is_told_with_file_row_and_column(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=rf"jobs\.csv.*{sentence}"):
        table(tmp_path, text)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("gone.csv", None, "there is no such file"),
        ("jobs.json", "[{]", "is not JSON"),
        ("jobs.json", '{"id": 1}', "a list of objects"),
        ("jobs.json", '[{"duration_s": "x", "slack_h": 1}]', "job 1, column duration_s: 'x' is not"),
        ("jobs.parquet", "PAR1?", "cannot be read as Parquet"),
    ],
)
def test_unreadable_file_is_one_sentence(tmp_path: Path, name: str, text: str | None, sentence: str) -> None:
    path = tmp_path / name if text is None else written(tmp_path, text, name)
    with pytest.raises(BadInput, match=sentence) as refused:
        read_jobs(path, NOW)
    assert "\n" not in str(refused.value)
