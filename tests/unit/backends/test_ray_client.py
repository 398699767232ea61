"""Ray's token, and what a region may be configured with."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tidewatt.backends.backend import BackendError
from tidewatt.backends.desk import NotTakenError
from tidewatt.backends.ray.client import Client, plain
from tidewatt.backends.ray.options import RayOptions


def test_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    token.chmod(0o644)
    with pytest.raises(BackendError, match="chmod 600") as told:
        Client({"address": "http://127.0.0.1:9", "token_file": str(token)}).jobs()
    assert "secret" not in str(told.value)


def test_cluster_that_is_not_there_has_certainly_taken_nothing() -> None:
    with pytest.raises(NotTakenError, match="cannot be reached") as told:
        Client({"address": "http://127.0.0.1:9"}).submit({"submission_id": "tw-0-1-1"})
    assert told.value.transient


@pytest.mark.parametrize("name", ["regionEu", "region_eu", "REGION_EU"])
def test_resources_are_the_same_in_camel_case(name: str) -> None:
    assert plain(name) == plain("region_eu")


@pytest.mark.parametrize(
    "given",
    [{"address": "http://user:pass@host"}, {"address": "host:8265"}, {"resource": "a b"}, {"nonsense": 1}],
)
def test_options_that_make_no_sense_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RayOptions.model_validate(given)
