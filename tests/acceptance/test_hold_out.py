"""The hold-out and the baseline of reports, as a person meets them."""

from typing import Any

CONFIG = """
zone = "DE"
hold_out = 0.5
[[region]]
name = "local"
cpus = 4
"""


def test_half_of_the_jobs_that_could_wait_run_at_once_and_the_report_compares(house: Any) -> None:
    house.up(config=CONFIG)
    asked = ("--finish-by", "20h", "--duration", "10m", "--project", "nlp", "--", "true")
    said = [house.tidewatt("submit", *asked).stdout for _ in range(2)]
    [held_out] = [text for text in said if "held out by lot: runs at once, for the comparison" in text]
    number = int(held_out.split()[1])
    house.ended(number)
    shown = house.tidewatt("show", str(number)).stdout
    assert "  lot      held out by lot" in shown
    assert "its lot is drawn" in shown
    waiting = house.job(3 - number)
    assert waiting["lot"].startswith("shifted")
    assert waiting["plan"]["why"] != "held out"
    made = house.ask("report", "--baseline", "hypothetical")
    assert made["baseline"] == "hypothetical"
    assert made["hold_out"]["share"] == 0.5
    assert "without an account" in made["hold_out"]["note"]
    refused = house.tidewatt("report", "--baseline", "best")
    assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)
    assert "feasible or hypothetical" in refused.stderr
    assert max(map(len, house.tidewatt("report").stdout.splitlines())) <= 80
