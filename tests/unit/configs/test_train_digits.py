"""The example really trains, and ends when it should."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tidewatt.backends import marks
from tidewatt.backends.attempt import MARKS
from tidewatt.backends.clock import Clock

SCRIPT = Path(__file__).parents[3] / "configs" / "examples" / "train_digits.py"


def trained(*arguments: str) -> list[float]:
    """Accuracy after each epoch."""
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=True)
    return [float(value) for value in re.findall(r"accuracy ([0-9.]+)", done.stdout)]


def test_accuracy_on_unseen_digits_rises_with_the_epochs() -> None:
    accuracy = trained("--epochs", "30")
    assert len(accuracy) == 30
    assert accuracy[0] < 0.5 < 0.8 < accuracy[-1]


def test_training_takes_the_seconds_that_it_is_given() -> None:
    begun = time.monotonic()
    assert trained("--seconds", "4")
    assert time.monotonic() - begun >= 4


def test_training_tells_its_epochs_and_samples_where_somebody_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MARKS, str(tmp_path / "marks"))
    assert len(trained("--epochs", "2")) == 2
    told = marks.read(tmp_path / "marks", Clock(), 0, 2**45)
    assert told.counts == {"epochs": 2, "samples": 2 * (1797 - 1797 // 4)}


def test_training_ends_in_order_when_it_is_asked_to() -> None:
    with subprocess.Popen(
        [sys.executable, SCRIPT, "--seconds", "120"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it trains
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
