"""An operator states prices, tries a policy on what was submitted, and puts it in force."""

from datetime import UTC, datetime

import pytest

from tests.acceptance.conftest import House
from tests.trying import past
from tidewatt.scheduler.errors import Refused

PRICES = """
[[price]]
region = "home"
currency = "EUR"
time_zone = "UTC"
price_per_kwh = 0.25
bands = [{ hours = "00:00-24:00", price_per_kwh = 0.20 }]
"""
RULES = """
[[policy]]
name = "vision is in a hurry"
projects = ["vision"]
shift = false
because = "a deadline of the lab"
"""


def test_operator_states_a_price_tries_a_policy_and_puts_it_in_force(house: House) -> None:
    past.folder(house.home, datetime.now(UTC), jobs=6)
    (house.home / "grid.csv").rename(house.folder / "grid.csv")
    house.up(config=past.REGIONS + PRICES)
    shown = house.tidewatt("regions").stdout
    assert "home: 0.2 EUR a kWh (by the time of use, as stated)" in shown

    [series] = house.client().prices(hours=24)["prices"]
    assert (series["region"], series["unit"]) == ("home", "EUR/kWh")
    assert {step["per_kwh"] for step in series["steps"]} == {0.2}

    trial = house.work / "new.toml"
    trial.write_text(past.REGIONS + PRICES + RULES)
    found = house.ask("policy", "try", str(trial), "--since", "20d")
    assert (found["jobs"], found["differs"], found["sooner"]) == (6, ["policy"], 3)
    assert found["saved_g"]["average"] < 0
    wrong = house.work / "wrong.toml"
    wrong.write_text(past.REGIONS + RULES.replace("shift", "shifty"))
    refused = house.tidewatt("policy", "try", str(wrong))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"{wrong}:" in refused.stderr
    assert "shifty" in refused.stderr

    (house.folder / "config.toml").write_text(past.REGIONS + PRICES + RULES)
    assert "policies" in house.tidewatt("policy", "reload").stdout
    flags = ("--finish-by", "20h", "--duration", "1s", "--project", "vision")
    reply = house.ask("submit", *flags, "--", "true")
    assert any("never shifted, by vision is in a hurry" in note for note in reply["notes"])
    done = house.ended(reply["job"]["id"])
    assert done["state"] == "done"
    assert done["plan"]["why"] == "opted out"
    house.until(lambda: house.client().cost(done["id"])["groups"][0]["cost"] is not None)
    cost = house.client().cost(done["id"])
    group = cost["groups"][0]
    assert cost["currency"] == "EUR"
    assert abs(group["cost"] - 0.20 * group["priced_kwh"]) < 1e-12
    assert group["unpriced_kwh"] == group["assumed_kwh"] == 0
    assert "EUR for" in house.tidewatt("report").stdout
    assert "EUR for" in house.tidewatt("receipt", str(done["id"])).stdout

    rules = house.client().rules()
    assert rules["text"].startswith("[[policy]]")
    limited = {"text": rules["text"] + "\n[limits]\nwaiting = 0\n", "digest": rules["digest"]}
    assert "waiting = 0" in house.client().put_rules(limited)["text"]
    full = house.tidewatt("submit", "--", "true")
    assert (full.returncode, full.stdout) == (1, "")
    with pytest.raises(Refused, match="open them anew"):
        house.client().put_rules(limited)
    undone = house.client().rules()
    house.client().put_rules({"text": rules["text"], "digest": undone["digest"]})
    assert house.tidewatt("submit", "--", "true").returncode == 0
