"""AWS Batch in two regions, against moto: a stand-in, but its jobs really run."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.aws.account import VARIABLES, Account
from tests.aws.line import Line
from tests.aws.troupe import BatchTroupe
from tests.backends.contract import Contract
from tests.backends.stage import Stage


@pytest.fixture(scope="module")
def account(require_engine: Callable[[str], None]) -> Iterator[Account]:
    require_engine("clients")
    account = Account()
    try:
        yield account.up()
    finally:
        account.down()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def stage(account: Account, tmp_path: Path) -> Iterator[Stage]:
    line = Line(account.url)
    yield Stage(BatchTroupe(account, line, root=tmp_path), tmp_path)
    line.close()


class TestAwsBatchContract(Contract):
    """What every backend promises, with jobs that moto really runs."""
