"""The output of jobs elsewhere is read through their engines, one attempt after the other."""

import io
from pathlib import Path
from typing import Any

import pytest

from tests.integration.scheduler.outpost import Outpost, outpost
from tidewatt.backends.backend import BackendError
from tidewatt.backends.fake import Script
from tidewatt.scheduler.cli.far_output import FarTail
from tidewatt.scheduler.cli.following import Tail
from tidewatt.scheduler.daemon.outputs import output
from tidewatt.scheduler.errors import BadInput, SchedulerError


class Line:
    """A client without a socket."""

    far = False

    def __init__(self, at: Outpost) -> None:
        self.at = at

    def output(self, key: str, attempt_id: str, offset: int, *, here: bool, stream: str) -> dict[str, Any]:
        assert (here, stream) == (False, "stdout")
        try:
            return output(self.at.service, key, attempt_id, offset).model_dump()
        except BackendError as error:
            raise SchedulerError(str(error)) from None


def job(at: Outpost) -> dict[str, Any]:
    return at.service.view("1").model_dump()


def test_output_is_followed_as_it_grows_and_on_to_the_next_attempt(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        at.cluster.scripts["1.1"] = Script(runs_s=60, exit_code=1)
        at.submit(duration_s=60.0, retries=1)
        at.round()
        stream = io.BytesIO()
        tail = FarTail(Line(at), "1", stream)  # type: ignore[arg-type]
        assert not tail.copy()
        tail.look(job(at))
        at.engine.output["1.1"] = b"epoch 1\n"
        assert tail.copy()
        assert not tail.copy()
        at.engine.output["1.1"] += b"epoch 2\n"
        at.shift(61)
        at.shift(10)
        at.shift(10)
        at.engine.output["1.2"] = b"again\n"
        assert tail.copy()
        assert stream.getvalue() == b"epoch 1\nepoch 2\nagain\n"


def test_file_here_is_not_read_for_a_job_that_runs_elsewhere(tmp_path: Path) -> None:
    with outpost(tmp_path) as at:
        at.submit(duration_s=60.0)
        at.round()
        (tmp_path / "shared.out").write_text("the same, on a file system that both see\n")
        tail = Tail(tmp_path / "shared.out", io.BytesIO())
        tail.look(job(at))
        assert not tail.copy()


def test_engine_that_does_not_answer_is_told_once_and_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with outpost(tmp_path) as at:
        at.submit(duration_s=60.0)
        at.round()
        at.engine.output["1.1"] = b"epoch 1\n"
        tail = FarTail(Line(at), "1", io.BytesIO())  # type: ignore[arg-type]
        tail.look(job(at))

        def silent(*_: object) -> bytes:
            raise BackendError("ssh: timed out", transient=True)

        with monkeypatch.context() as broken:
            broken.setattr(type(at.engine), "logs", silent)
            assert [tail.copy(), tail.copy()] == [False, False]
        assert capsys.readouterr().err.count("ssh: timed out") == 1
        assert tail.copy()


@pytest.mark.parametrize(("attempt", "offset", "said"), [("1.9", 0, "no attempt 1.9"), ("", -1, "below 0")])
def test_what_is_not_there_is_refused(tmp_path: Path, attempt: str, offset: int, said: str) -> None:
    with outpost(tmp_path) as at:
        at.submit(duration_s=60.0)
        at.round()
        with pytest.raises(BadInput, match=said):
            output(at.service, "1", attempt, offset)
