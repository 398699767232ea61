"""Model-card metadata: grams in fixed point, where they came from, and failed runs in the sum."""

import pytest

from tests.exports.made import account, attempt, ledger, receipt
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.exports.hugging_face import number, quoted, yaml_text


def test_metadata_of_one_job() -> None:
    lines = yaml_text([receipt()], "fine-tuning").splitlines()
    assert lines[0] == "co2_eq_emissions:"
    assert lines[1] == "  emissions: 800"
    assert '  training_type: "fine-tuning"' in lines
    assert '  geographical_location: "Germany (DE)"' in lines
    assert '  hardware_used: "1 x NVIDIA A100-SXM4-40GB"' in lines
    assert "site meter 2025" in lines[2]
    assert "components only: node overhead not measured" in lines[2]


def test_failed_and_cancelled_runs_are_in_the_sum_and_counted() -> None:
    discarded = receipt(4, labels={"discarded": "diverged"})
    text = yaml_text([receipt(1), receipt(2, state="failed"), receipt(3, state="cancelled"), discarded])
    assert "emissions: 3200" in text
    assert "4 runs, of them 2 failed or cancelled and 1 discarded" in text


def test_runs_without_emissions_are_told() -> None:
    text = yaml_text([receipt(1), receipt(2, settlement=account(ledger("marginal")))])
    assert "emissions: 800" in text
    assert "1 of 2 runs have no known emissions and are not in the number" in text


def test_nothing_known_is_refused() -> None:
    with pytest.raises(BadInput, match="no emissions by the average signal"):
        yaml_text([receipt(settlement=account())])


def test_unknown_training_type_is_refused() -> None:
    with pytest.raises(BadInput, match="pre-training or fine-tuning"):
        yaml_text([receipt()], "magic")


def test_place_is_the_users_where_given() -> None:
    assert '"Lyon, France"' in yaml_text([receipt()], location="Lyon, France")


@pytest.mark.parametrize(
    ("grams", "text"),
    [(800.0, "800"), (0.0001, "0.0001"), (1.5e-05, '"0.000015"'), (0.0, "0"), (2e16, '"20000000000000000"')],
)
def test_number_has_no_power_of_ten_for_any_reader(grams: float, text: str) -> None:
    assert number(grams) == text


def test_text_cannot_leave_its_quotes() -> None:
    hostile = 'a"\nemissions: 0\\ \x1b[31m\u2028'
    line = quoted(hostile)
    assert "\n" not in line
    assert line.isprintable()
    metadata = yaml_text([receipt(attempts=(attempt(gpu_model=hostile),))])
    assert len(metadata.splitlines()) == len(yaml_text([receipt()]).splitlines())
