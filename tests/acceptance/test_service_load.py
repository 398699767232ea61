"""The real daemon under load: killed in the midst of submissions, and with many who listen.

`make soak` sets TIDEWATT_SOAK_SUBMITS=100000 and TIDEWATT_SOAK_STREAMS=200.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.load_stage import Stage, staged
from benchmarks.service_load import heard, until_killed
from tidewatt.scheduler.proof.chain import follow

SUBMITS = int(os.environ.get("TIDEWATT_SOAK_SUBMITS", "2000"))
STREAMS = int(os.environ.get("TIDEWATT_SOAK_STREAMS", "20"))


@pytest.fixture
def stage(own_home: Path) -> Iterator[Stage]:
    """A daemon on a file, with an empty store."""
    with staged("sqlite") as made:
        made.up()
        yield made


@pytest.mark.timeout(3600)
def test_no_acknowledged_submission_is_lost_when_the_daemon_is_killed(stage: Stage) -> None:
    acknowledged = asyncio.run(until_killed(stage, SUBMITS))
    assert len(acknowledged) >= SUBMITS
    with stage.store() as store:
        assert acknowledged - store.numbered(acknowledged).keys() == set()
        assert follow(store.stretch(0, store.tip().seq)) == store.tip()
    stage.up()
    assert stage.client().job(max(acknowledged))["state"] in {"waiting", "held"}


def test_all_who_listen_hear_of_every_event(stage: Stage) -> None:
    lags, events, complete = asyncio.run(heard(stage, STREAMS, submits=10))
    assert (len(lags), complete) == (10, STREAMS)
    assert events >= 20
