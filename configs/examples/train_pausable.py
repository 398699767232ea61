"""Trains a classifier of handwritten digits that can be paused at any time and goes on as if it had not been.

`python train_pausable.py --epochs 30 --out weights.npz`, under Tidewatt with

    tidewatt submit --pausable --checkpoint-dir checkpoints --done-when exit:85 --done-when 'file:*.npz'

On SIGTERM it saves after the epoch that it is at, and ends with exit code 85. Where TIDEWATT_CHECKPOINT names
one it goes on from that: the order of the examples follows from the epoch alone, so that the weights in
the end are the same to the last bit, however often it was paused.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the job asks for one core; read when numpy is imported

import argparse
import hashlib
import signal
import sys
import time
from pathlib import Path
from types import FrameType

pausing = False


def stop(number: int, frame: FrameType | None) -> None:
    """Has the training save its work after the epoch that it is at."""
    global pausing
    pausing = True


signal.signal(signal.SIGTERM, stop)  # before the slow imports: a pause may be asked for meanwhile

import numpy as np  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402
from sklearn.linear_model import SGDClassifier  # noqa: E402

PAUSED = 85  # the exit code that says: there is a whole checkpoint


def save(path: Path, network: SGDClassifier, epoch: int) -> None:
    """Writes all that the training goes on from; a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partly = path.with_suffix(".part")
    with partly.open("wb") as file:
        np.savez(file, coef=network.coef_, intercept=network.intercept_, steps=network.t_, epoch=epoch)
        file.flush()
        os.fsync(file.fileno())
    partly.replace(path)


def load(path: Path, network: SGDClassifier) -> int:
    """Takes up a checkpoint; the epochs that were done by then."""
    with np.load(path) as kept:
        network.classes_ = np.arange(10)
        network.coef_, network.intercept_ = kept["coef"], kept["intercept"]
        network.t_ = float(kept["steps"])
        return int(kept["epoch"])


def train(epochs: int, pace_s: float, out: Path) -> int:
    """Trains until `epochs` are done or a pause is asked for; the exit code."""
    images, digits = load_digits(return_X_y=True)
    images = images / 16.0
    network = SGDClassifier(learning_rate="constant", eta0=0.01, shuffle=False, random_state=0)
    kept = os.environ.get("TIDEWATT_CHECKPOINT")
    epoch = load(Path(kept), network) if kept else 0
    print(f"begins at epoch {epoch}", flush=True)
    while epoch < epochs:
        if pausing and epoch > 0:  # there is something to save
            folder = Path(os.environ.get("TIDEWATT_CHECKPOINT_DIR", "checkpoints"))
            save(folder / "weights.npz", network, epoch)
            print(f"paused after epoch {epoch}", flush=True)
            return PAUSED
        order = np.random.default_rng(epoch).permutation(len(digits))
        network.partial_fit(images[order], digits[order], classes=range(10))
        epoch += 1
        time.sleep(pace_s)  # stands for a longer epoch
    save(out, network, epoch)
    digest = hashlib.sha256(network.coef_.tobytes() + network.intercept_.tobytes()).hexdigest()
    print(f"epochs {epoch}  accuracy {network.score(images, digits):.3f}  weights {digest}", flush=True)
    return 0


def main() -> int:
    """Reads the arguments and trains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30, help="how often to go through the data")
    parser.add_argument("--pace", type=float, default=0.0, help="seconds to wait after each epoch")
    parser.add_argument("--out", type=Path, default=Path("weights.npz"), help="the weights in the end")
    given = parser.parse_args()
    return train(given.epochs, given.pace, given.out)


if __name__ == "__main__":
    sys.exit(main())
