"""What a script tells is in its job's history, with the real daemon and a real job."""

import sys
from typing import Any

CONFIG = 'zone = "DE"\ntick_s = 0.2\n[[region]]\nname = "local"\ncpus = 2\n'
SCRIPT = """
import os, time
from tidewatt.backends import hooks
with hooks.phase("warm-up"):
    time.sleep(0.05)
hooks.phase("train")
for batch in hooks.loop([[1, 2], [3]], samples=len):
    time.sleep(0.05)
hooks.checkpoint(step=2)
print(os.environ["TIDEWATT_JOB_REGION"], os.environ["TIDEWATT_JOB_ZONE"], os.environ["TIDEWATT_JOB_WINDOW"])
"""


def test_what_a_script_tells_is_in_the_history_of_its_job(house: Any) -> None:
    house.up(config=CONFIG)
    house.ask("submit", "--duration", "1s", "--", sys.executable, "-c", SCRIPT)
    job = house.ended(1)
    assert job["state"] == "done"
    kinds = [event["kind"] for event in job["events"]]
    assert kinds.index("marks") + 1 == kinds.index("attempt.ended")
    shown = house.tidewatt("show", "1").stdout
    assert "its script told: 2 phases, 1 checkpoint, 2 steps, 3 samples, 1 epoch" in shown
    region, zone, window = house.tidewatt("logs", "1").stdout.split()
    assert (region, zone) == ("local", "DE")
    assert len(window.split("/")) == 2
