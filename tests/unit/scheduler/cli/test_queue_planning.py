"""`plan --jobs`: a small queue planned from files, its numbers reckoned by hand."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.scheduler.cli.conftest import Said

Tidewatt = Callable[..., Said]
CONFIGS = Path(__file__).parents[4] / "configs"
GRID = "zone,start,step_s,gco2_per_kwh,signal,basis,boundary\n"
# Home is dirty but for the hours 2 and 3, abroad is always in between.
HOME = [500, 500, 100, 100, 500, 500, 500, 500]
ABROAD = [300] * 8
REGIONS = """
signal = "average"
[[region]]
name = "home"
zone = "DE"
home = true
pue = 1.5
gpus = 1
[[region]]
name = "abroad"
zone = "FR"
gpus = 1
"""
NOW = "2026-11-22T00:00Z"


def queue(folder: Path, jobs: str, regions: str = REGIONS) -> tuple[str, ...]:
    rows = [
        f"{zone},2026-11-22T{hour:02}:00Z,3600,{value},average,lifecycle,production\n"
        for zone, values in (("DE", HOME), ("FR", ABROAD))
        for hour, value in enumerate(values)
    ]
    (folder / "grid.csv").write_text(GRID + "".join(rows))
    (folder / "jobs.csv").write_text(jobs)
    (folder / "regions.toml").write_text(regions)
    files = ("--grid", "grid.csv", "--jobs", "jobs.csv", "--regions", "regions.toml")
    return ("plan", *files, "--now", NOW, "--hindsight")


# Two jobs of 2 h and 1 kW that may end by 04:00, one GPU in each region.
TWO = "id,duration_s,finish_by,power_w\n1,7200,2026-11-22T04:00Z,1000\n2,7200,2026-11-22T04:00Z,1000\n"


def test_two_jobs_share_what_is_clean(tidewatt: Tidewatt, tmp_path: Path) -> None:
    said = tidewatt(*queue(tmp_path, TWO), "--json")
    assert said.code == 0, said.err
    jobs = {job["id"]: job for job in said.json["jobs"]}
    # one has the clean hours at home (2 x 100 x PUE 1.5), the other goes abroad (2 x 300)
    assert sorted(round(job["expected_g"]) for job in jobs.values()) == [300, 600]
    clean = next(job for job in jobs.values() if job["expected_g"] < 400)
    assert (clean["region"], clean["start"]) == ("home", "2026-11-22T02:00:00Z")
    # first in, first out at home: hours 0 and 1, then 2 and 3
    assert [jobs[n]["immediate_start"] for n in (1, 2)] == ["2026-11-22T00:00:00Z", "2026-11-22T02:00:00Z"]
    assert [jobs[n]["immediate_g"] for n in (1, 2)] == [1500, 300]
    totals, certificate = said.json["totals"], said.json["certificate"]
    assert (totals["placed"], totals["expected_g"], totals["immediate_g"]) == (2, 900, 1800)
    assert totals["saving_percent"] == pytest.approx(50)
    assert totals["energy_kwh"] == pytest.approx(4)
    assert certificate["cost_g"] == pytest.approx(900)
    assert certificate["bound_g"] <= 900 * (1 + 1e-9)
    assert (said.json["planner"], said.json["troubles"], said.json["unplaced"]) == ("whole queue", [], [])


def test_time_and_region_are_told_apart(tidewatt: Tidewatt, tmp_path: Path) -> None:
    one = "id,duration_s,finish_by,power_w\n1,7200,2026-11-22T04:00Z,1000\n"
    said = tidewatt(*queue(tmp_path, one), "--json")
    levers = {lever["name"]: lever for lever in said.json["levers"]}
    # at home it waits for 300 of 1500 g; by its mean (300 x 1.5) home is dirtier than abroad, which has 600 g
    assert levers["time only, at home"]["expected_g"] == pytest.approx(300)
    assert levers["one region for all time"]["expected_g"] == pytest.approx(600)
    assert levers["time and region"]["saving_percent"] == pytest.approx(80)
    assert tidewatt(*queue(tmp_path, one), "--json", "--no-levers").json["levers"] == []


def test_people_see_the_load_the_proof_and_who_finds_no_place(tidewatt: Tidewatt, tmp_path: Path) -> None:
    wide = TWO.replace("power_w", "power_w,gpus").replace(",1000", ",1000,1")
    wide += "4,7200,2026-11-22T04:00Z,1000,2\n"
    said = tidewatt(*queue(tmp_path, wide))
    assert said.code == 0, said.err
    assert "█" in said.out.splitlines()[2]
    assert (
        "900 g CO2 instead of 1.80 kg for first in, first out at home (which misses the deadline of 1 job):"
        " 50 % less" in said.out
    )
    assert "above the best possible" in said.out
    assert "NO PLACE job 4: no region that it may use could ever hold it" in said.out


def test_who_finds_no_room_in_time_is_named(tidewatt: Tidewatt, tmp_path: Path) -> None:
    three = "id,duration_s,finish_by\n" + "".join(f"{n},7200,2026-11-22T02:00Z\n" for n in (1, 2, 3))
    said = tidewatt(*queue(tmp_path, three))
    assert said.code == 0, said.err
    assert "NO PLACE job " in said.out
    assert ": no room is left before its deadline" in said.out


def test_closed_hours_power_and_order_are_kept(tidewatt: Tidewatt, tmp_path: Path) -> None:
    shut = REGIONS.replace("gpus = 1\n", "gpus = 4\npower_limit_kw = 1\n", 1).replace(
        "home = true\n",
        "home = true\nclosed = [{ start = 2026-11-22T02:00:00Z, end = 2026-11-22T03:00:00Z }]\n",
    )
    jobs = (
        "id,duration_s,finish_by,power_w,after,regions\n"
        "1,3600,2026-11-22T08:00Z,1000,,home\n"
        "2,3600,2026-11-22T08:00Z,1000,1,home\n"
        "3,3600,2026-11-22T04:00Z,1000,,home\n"
    )
    said = tidewatt(*queue(tmp_path, jobs, shut), "--json", "--no-levers")
    spans = {job["id"]: (job["start"][11:13], job["end"][11:13]) for job in said.json["jobs"]}
    # hour 3 is the only clean one left, and one job at a time has power; the second waits for the first
    assert sorted(spans.values()).count(("03", "04")) == 1
    assert all(start != "02" for start, _ in spans.values())
    assert spans[2][0] >= spans[1][1]
    assert len({start for start, _ in spans.values()}) == 3


def test_deadlines_hold_where_a_faster_kind_is_needed(tidewatt: Tidewatt, tmp_path: Path) -> None:
    kinds = '\npools = [{ kind = "a100", gpus = 1 }, { kind = "h100", gpus = 1, speed = 2.0, power = 1.5 }]\n'
    jobs = "id,duration_s,finish_by,power_w,regions\n1,14400,2026-11-22T02:00Z,1000,home\n"
    regions = REGIONS.replace("\ngpus = 1\n", kinds, 1)
    (job,) = tidewatt(*queue(tmp_path, jobs, regions), "--json", "--no-levers").json["jobs"]
    # 4 h of work in 2 h on the faster kind: 2 h x 1.5 kW x 500 g x PUE 1.5
    assert (job["pool"], job["end"], job["expected_g"]) == ("h100", "2026-11-22T02:00:00Z", 2250)


def test_other_signal_must_not_get_worse(tidewatt: Tidewatt, tmp_path: Path) -> None:
    arguments = queue(tmp_path, TWO.splitlines()[0] + "\n" + TWO.splitlines()[1] + "\n")
    marginal = [400, 400, 900, 900, 300, 300, 300, 300]
    more = "".join(
        f"DE,2026-11-22T{hour:02}:00Z,3600,{value},marginal,direct,consumption\n"
        for hour, value in enumerate(marginal)
    )
    path = tmp_path / "grid.csv"
    path.write_text(path.read_text() + more)
    by_average = tidewatt(*arguments, "--json", "--no-levers", "--signal", "average").json["jobs"][0]
    both = tidewatt(*arguments, "--json", "--no-levers", "--signal", "both").json
    by_both = both["jobs"][0]
    assert (by_average["region"], by_average["start"][11:13]) == ("home", "02")
    # at home the clean hours are dirty at the margin; nothing is known of the margin abroad
    assert (by_both["region"], by_both["start"][11:13]) != ("home", "02")
    assert both["totals"]["beside"]["jobs"] == 0
    at_home = queue(tmp_path, "id,duration_s,finish_by,power_w,regions\n1,7200,2026-11-22T08:00Z,1000,home\n")
    path.write_text(path.read_text() + more)
    said = tidewatt(*at_home, "--no-levers", "--signal", "both")
    # whatever is cleaner by the average than starting at once is at best as dirty at the margin
    assert (
        "by the marginal signal 1.20 kg instead of 1.20 kg, 0 % less (1 job of which it is known)" in said.out
    )


def test_shipped_regions_plan_a_queue(tidewatt: Tidewatt, tmp_path: Path) -> None:
    levels = {"US-MIDA-PJM": 400, "SE-SE3": 30, "DE": 350}
    rows = [
        f"{zone},2026-12-0{day}T00:00Z,86400,{value},average,lifecycle,production\n"
        for zone, value in levels.items()
        for day in (5, 6, 7)
    ]
    (tmp_path / "grid.csv").write_text(GRID + "".join(rows))
    (tmp_path / "jobs.json").write_text(
        '[{"id": 1, "duration_s": 7200, "gpus": 8, "gpu_kind": "h100", "power_w": 5600},'
        ' {"id": 2, "duration_s": 7200, "gpus": 8, "gpu_kind": ["a100", "h100"], "power_w": 3200},'
        ' {"id": 3, "duration_s": 3600, "gpus": 0, "cpus": 16, "power_w": 200}]'
    )
    said = tidewatt(
        "plan", "--grid", "grid.csv", "--jobs", "jobs.json", "--regions", str(CONFIGS / "regions.toml"),
        "--now", "2026-12-05T06:00Z", "--hindsight", "--json", "--no-levers",
    )  # fmt: skip
    jobs = {job["id"]: job for job in said.json["jobs"]}
    # only Virginia has H100, and is closed until 18:00; Sweden is clean; only Frankfurt states cores
    assert (jobs[1]["region"], jobs[1]["start"]) >= ("virginia", "2026-12-05T18:00:00Z")
    assert (jobs[2]["region"], jobs[2]["pool"]) == ("sweden", "a100")
    assert (jobs[3]["region"], jobs[3]["pool"]) == ("frankfurt", "")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--jobs", "jobs.csv"), "needs both files"),
        (("--regions", "regions.toml"), "needs both files"),
        (("--jobs", "jobs.csv", "--regions", "regions.toml", "--duration", "2h"), "single job"),
        (("--jobs", "jobs.csv", "--regions", "regions.toml", "--frontier"), "single job"),
        (("--jobs", "jobs.csv", "--regions", "regions.toml", "--config", "x.toml"), "--config"),
        (("--jobs", "jobs.csv", "--regions", "gone.toml"), "gone.toml does not exist"),
        (("--jobs", "gone.csv", "--regions", "regions.toml"), "gone.csv: there is no such file"),
        (("--jobs", "jobs.csv", "--regions", "regions.toml", "--now", "2027-01-01T00:00Z"), "deadline"),
        (("--seconds", "3"), "--jobs"),
        (("--picture", "x.png"), "--frontier"),
    ],
)
def test_wrong_use_is_one_sentence(
    tidewatt: Tidewatt, tmp_path: Path, arguments: tuple[str, ...], word: str
) -> None:
    queue(tmp_path, TWO)
    said = tidewatt("plan", *arguments)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert word in said.err


@pytest.mark.parametrize(
    ("jobs", "regions", "word"),
    [
        ("duration_s,slack_h,regions\n60,1,nowhere\n", REGIONS, "line 2, column regions: there is no region"),
        ("duration_s,slack_h,home\n60,1,nowhere\n", REGIONS, "line 2, column home: there is no region"),
        ("duration_s,slack_h\n60,1\n", "", "no region is described"),
        ("duration_s,slack_h\n60,1\n", REGIONS.replace('zone = "DE"', 'zone = "PL"'), "tells nothing of PL"),
        ("duration_s,slack_h\n60,1\n", REGIONS.replace('zone = "DE"', 'zone = "PL"'), "it has DE, FR"),
        (
            "duration_s,slack_h\n60,1\n",
            REGIONS.replace("average", "marginal"),
            "nothing of the marginal signal of DE",
        ),
        ("duration_s,slack_h\nx,1\n", REGIONS, "jobs.csv, line 2, column duration_s"),
    ],
)
def test_wrong_file_is_one_sentence(
    tidewatt: Tidewatt, tmp_path: Path, jobs: str, regions: str, word: str
) -> None:
    said = tidewatt(*queue(tmp_path, jobs, regions))
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert word in said.err


def test_far_deadline_changes_nothing_for_the_jobs_of_today(tidewatt: Tidewatt, tmp_path: Path) -> None:
    jobs = "id,duration_s,finish_by,power_w,regions\n1,3600,2026-11-22T08:00Z,1000,home\n"
    far = jobs + "2,3600,2027-06-22T08:00Z,1000,home\n"
    arguments = queue(tmp_path, far)
    saw = [
        f"{zone},2026-11-22T{hour:02}:00Z,3600,{(600, 100)[hour % 2]},average,lifecycle,production\n"
        for zone in ("DE", "FR")
        for hour in range(8)
    ]
    (tmp_path / "grid.csv").write_text(GRID + "".join(saw))
    said = tidewatt(*arguments, "--json", "--no-levers", "--signal", "average")
    first = next(job for job in said.json["jobs"] if job["id"] == 1)
    assert (first["start"][14:], first["expected_g"]) == ("00:00Z", 150)  # one clean hour, PUE 1.5
    assert first["immediate_g"] == 900
    assert said.json["slot_s"] <= 3600


def test_queue_without_any_place_is_a_failure_without_a_proof(tidewatt: Tidewatt, tmp_path: Path) -> None:
    wide = "id,duration_s,slack_h,gpus\n1,3600,2,8\n"
    said = tidewatt(*queue(tmp_path, wide))
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert "no job of the queue finds a place in time" in said.err
    assert "best possible" not in said.out
    view = tidewatt(*queue(tmp_path, wide), "--json")
    assert (view.code, view.json["certificate"], view.json["jobs"]) == (1, None, [])


def test_people_see_when_jobs_run_and_who_told_of_the_grid(tidewatt: Tidewatt, tmp_path: Path) -> None:
    many = "duration_s,slack_h\n" + "600,3\n" * 22
    said = tidewatt(*queue(tmp_path, many, REGIONS.replace("gpus = 1", "gpus = 30")))
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert any(line.split()[:3] == ["1", "home", "GPU"] and "03:00" in line for line in lines), said.out
    assert "and 2 more: --json" in said.out
    assert "  grid     file grid.csv" in said.out
    assert "  made by  the whole-queue planner in" in said.out


def test_built_in_profile_is_named_where_nothing_else_was_given(tidewatt: Tidewatt, tmp_path: Path) -> None:
    queue(tmp_path, TWO)
    said = tidewatt("plan", "--jobs", "jobs.csv", "--regions", "regions.toml", "--now", NOW)
    assert "no --grid and no [[source]] is configured: planned on the built-in profile" in said.out


def test_file_of_another_time_or_signal_is_named_for_a_single_job_too(
    tidewatt: Tidewatt, tmp_path: Path
) -> None:
    queue(tmp_path, TWO)
    asked = ("plan", "--grid", "grid.csv", "--zone", "DE", "--duration", "2h")
    before = tidewatt(*asked, "--now", NOW, "--signal", "average").err
    assert "it has 2026-11-22 00:00 UTC to 2026-11-22 08:00 UTC; name a later --now" in before
    late = tidewatt(*asked, "--now", "2026-12-22T00:00Z", "--signal", "average", "--hindsight")
    assert "with --hindsight" not in late.err
    other = tidewatt(*asked, "--now", NOW, "--signal", "marginal", "--hindsight").err
    assert "nothing of the marginal signal of DE: it has the average one" in other
