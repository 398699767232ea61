"""Operators at work on a real daemon: regions, drains, shifting, rules, and the rehearsal of a submission."""

import os
import signal

from tests.acceptance.conftest import House

CONFIG = """
zone = "DE"
signal = "average"
[[region]]
name = "home"
zone = "DE"
cpus = 4
home = true
[[region]]
name = "west"
zone = "FR"
cpus = 4
[[region]]
name = "far"
backend = "slurm"
options = { cluster = "far", conf = "/nowhere/slurm.conf" }
zone = "SE"
cpus = 8
queue_wait = "20m"
"""
RULE = """
[[policy]]
name = "guests stay at home"
projects = ["guest"]
regions = ["west", "far"]
verdict = "forbid"
because = "the lines are paid for by the lab"
"""


def test_operator_drains_switches_explains_and_reloads_and_all_of_it_survives(house: House) -> None:
    house.up(config=CONFIG + RULE)
    shown = house.tidewatt("regions").stdout
    assert "west         local" in shown
    assert "far          slurm" in shown
    assert "its engine is silent" in shown
    explained = house.tidewatt("policy", "explain", "--as-if", "--project", "guest").stdout
    assert f"{house.folder}/config.toml:21" in explained
    assert "forbidden  guests stay at home" in explained
    refused = house.tidewatt("submit", "--project", "guest", "--region", "west", "--", "true")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "forbidden by guests stay at home" in refused.stderr

    house.ask("drain", "west", "--reason", "fans")
    house.ask("shifting", "off", "--reason", "audit")
    house.kill_daemon()
    house.up()
    status = house.tidewatt("status").stdout
    assert "shifting is off since" in status
    assert "drained: west, by" in status
    assert [drain["what"] for drain in house.ask("status")["drains"]] == ["west"]
    planned = house.ask("submit", "--finish-by", "6h", "--duration", "1m", "--region", "home", "--", "true")
    assert planned["job"]["plan"]["why"] == "unshifted"
    house.ended(1)
    assert house.ask("shifting", "on") == {"on": True, "since": None, "user": "", "reason": ""}
    assert house.ask("undrain", "west") == {"drains": []}

    (house.folder / "config.toml").write_text(CONFIG + RULE.replace("forbid", "deny"))
    wrong = house.tidewatt("policy", "reload")
    assert wrong.returncode == 2
    assert "config.toml:25: policy[1].verdict must be 'allow', 'prefer' or 'forbid'" in wrong.stderr
    (house.folder / "config.toml").write_text(CONFIG)
    os.kill(house.daemon_pid(), signal.SIGHUP)
    house.until(lambda: "policy.reloaded" in house.log())
    assert "no rule" in house.tidewatt("policy", "explain", "--as-if", "--project", "guest").stdout


def test_rehearsal_prints_what_would_be_sent_and_nothing_is_stored(house: House) -> None:
    house.up(config=CONFIG)
    here = house.tidewatt("submit", "--dry-run", "--region", "home", "--", "echo", "a b")
    assert here.returncode == 0, here.stderr
    assert here.stdout.startswith("command:      echo 'a b'\n")
    assert "nothing is stored or sent: job 1 would go to home (local)" in here.stderr
    there = house.ask("submit", "--dry-run", "--region", "far", "--time", "10m", "--", "echo", "a b")
    assert (there["region"], there["backend"]) == ("far", "slurm")
    assert "sbatch" in there["text"]
    assert "--begin=" in there["text"] or there["plan"]["why"] != "cleanest"
    assert house.ask("queue", "--all") == {"jobs": []}
    assert list((house.home / "jobs").iterdir()) == []


def test_policy_check_asks_no_daemon(house: House) -> None:
    file = house.folder / "rules.toml"
    file.write_text(CONFIG + RULE + RULE.replace("guests stay", "guests still stay"))
    done = house.tidewatt("policy", "check", str(file))
    assert done.returncode == 0
    assert "2 rules" in done.stdout
    assert "guests still stay at home never decides" in done.stdout
    file.write_text(CONFIG + RULE.replace('["west", "far"]', '["east"]'))
    wrong = house.tidewatt("policy", "check", str(file))
    assert wrong.returncode == 2
    assert wrong.stderr == f"tidewatt: {file}:24: there is no region 'east': there are home, west, far\n"


def test_command_of_a_job_that_cannot_run_on_this_host_need_not_be_here(house: House) -> None:
    house.up(config=CONFIG)
    told = house.tidewatt("submit", "--hold", "--region", "far", "--", "python3", "only_there.py")
    assert told.returncode == 0, told.stderr
    assert "only_there.py does not exist" in told.stderr
    assert "it has to be there where the job runs: far" in told.stderr
    refused = house.tidewatt("submit", "--hold", "--", "python3", "only_there.py")
    assert (refused.returncode, refused.stdout) == (2, "")
