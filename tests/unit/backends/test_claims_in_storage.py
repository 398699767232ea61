"""A job's claim in object storage is its own only where the storage keeps what is there."""

from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from tidewatt.backends import escort

URI = "s3://bucket/jobs/tw-1-1/"


@dataclass
class Storage:
    """S3 as the escort uses it. `conditions`: kept, ignored, refused, or unknown to the client."""

    conditions: str = "kept"
    loses: bool = False
    kept: dict[str, bytes] = field(default_factory=dict)

    class exceptions:  # noqa: N801 - its name there
        class NoSuchKey(Exception):  # noqa: N818
            pass

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, IfNoneMatch: str) -> None:  # noqa: N803
        assert (Bucket, IfNoneMatch) == ("bucket", "*")
        if self.conditions == "unknown":
            raise ParamValidationError(report="Unknown parameter in input: IfNoneMatch")
        if self.conditions == "refused":
            raise refusal("NotImplemented")
        if self.conditions == "kept" and Key in self.kept:
            raise refusal("PreconditionFailed")
        self.kept[Key] = Body

    def get_object(self, *, Bucket: str, Key: str) -> Any:  # noqa: N803
        return {"Body": BytesIO(self.kept[Key])}


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}}, "PutObject")


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Storage:
    storage = Storage()
    monkeypatch.setattr(escort, "_storage", lambda: storage)
    return storage


def test_of_all_who_claim_one_has_it(storage: Storage) -> None:
    assert [escort._claim(URI) for _ in range(3)] == [True, False, False]


def test_what_was_withdrawn_cannot_be_claimed(storage: Storage) -> None:
    storage.kept["jobs/tw-1-1/claim"] = b"withdrawn"
    assert not escort._claim(URI)


@pytest.mark.parametrize("conditions", ["ignored", "refused", "unknown"])
def test_without_conditional_writes_nothing_is_claimed(
    storage: Storage, conditions: str, capfd: pytest.CaptureFixture[str]
) -> None:
    storage.conditions = conditions
    assert not escort._claim(URI)
    assert "nothing can be claimed" in capfd.readouterr().out


def test_claim_whose_answer_was_lost_and_that_is_written_again_is_still_its_own(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = storage.put_object

    def twice(**what: Any) -> None:  # as the client repeats by itself what got no answer
        if not storage.kept:
            written(**what)
        written(**what)

    monkeypatch.setattr(storage, "put_object", twice)
    assert escort._claim(URI)
