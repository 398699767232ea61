"""AWS Batch, as the stories of the contract play on it."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.aws.account import BUCKET, REGIONS, Account
from tests.aws.line import AwsLine
from tests.backends.line import OnTheLine
from tests.backends.stage import RealJobs
from tidewatt.backends import reference
from tidewatt.backends.aws_batch.engine import BatchBackend
from tidewatt.backends.aws_batch.options import AwsBatchOptions


def options(account: Account, name: str, **more: object) -> AwsBatchOptions:
    """A region of the test's account, whose image is this machine."""
    given: dict[str, object] = {
        "region": REGIONS[name],
        "job_queue": "train",
        "image": "python:3.11",
        "instance_type": "m6i.xlarge",
        "python": sys.executable,
        "endpoint_url": account.url,
        "look_s": 0.3,
        "checkpoint_uri": f"s3://{BUCKET}/jobs",
    }
    return AwsBatchOptions.model_validate(given | more)


@dataclass
class BatchTroupe(RealJobs, OnTheLine):
    """Jobs that really run, through a line that fails as told."""

    line: AwsLine
    account: Account
    root: Path
    region: str = "north"
    patience_s: float = 30.0
    lacks: Mapping[str, str] = field(default_factory=lambda: {"standing": "Batch has none"})

    def __post_init__(self) -> None:
        """The first backend."""
        self.restart()

    def restart(self) -> None:
        regions = {name: options(self.account, name, endpoint_url=self.line.address) for name in REGIONS}
        self.backend = BatchBackend(regions, visible_s=2.0, vanished_s=0.5)

    def ready(self, attempt_id: str, _output: Path) -> bool:
        return (self.root / f"{attempt_id}.ran").exists()  # its output comes only with its end

    def pass_time(self) -> None:
        time.sleep(0.05)

    def vanish(self, folder: Path) -> None:
        self._forget(folder)

    def reuse(self, folder: Path) -> None:
        self._forget(folder)

    def _forget(self, folder: Path) -> None:
        found = reference.read(folder)
        assert found is not None
        self.line.gone.add(found.id)
        self.line.gone.add(found.token)
        batch = self.account.client("batch", REGIONS[self.region])
        batch.terminate_job(jobId=found.id, reason="gone")
