"""Trains a small neural network to read handwritten digits, with data that scikit-learn carries.

`python train_digits.py --epochs 20`, or `--seconds 8`: as many epochs as fit into that much time, start-up
included. Prints loss and accuracy of each epoch; on SIGTERM it ends after the epoch that it is at.
"""

import os
import time

STARTED = time.monotonic()  # before the slow imports: their time counts
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the job asks for one core; read when numpy is imported

import argparse  # noqa: E402
import signal  # noqa: E402
from types import FrameType  # noqa: E402

import numpy as np  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402

try:
    from tidewatt.backends import hooks
except ImportError:  # trains as well without Tidewatt
    hooks = None  # type: ignore[assignment]

stopping = False


def stop(number: int, frame: FrameType | None) -> None:
    """Ends the training after the epoch that it is at."""
    global stopping
    stopping = True


def train(epochs: int | None, seconds: float | None, seed: int) -> None:
    """Trains until `epochs` are done or `seconds` have passed since the start of the process."""
    images, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(digits))
    images, digits = images[order] / 16.0, digits[order]
    kept_back = len(digits) // 4  # never trained on: the accuracy is that on these
    network = MLPClassifier((256, 128), batch_size=16, learning_rate_init=2e-5, random_state=seed)
    epoch = 0
    while not stopping and (epochs is None or epoch < epochs):
        if seconds is not None and time.monotonic() - STARTED >= seconds:
            break
        epoch += 1
        network.partial_fit(images[kept_back:], digits[kept_back:], classes=range(10))
        if hooks:
            hooks.samples(len(images) - kept_back)
            hooks.epoch()
        accuracy = network.score(images[:kept_back], digits[:kept_back])
        print(
            f"epoch {epoch:3d}  loss {network.loss_:.4f}  accuracy {accuracy:.3f}"
            f"  {time.monotonic() - STARTED:5.1f} s",
            flush=True,
        )


def main() -> None:
    """Reads the arguments and trains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, help="how often to go through the data")
    parser.add_argument("--seconds", type=float, help="how long to train, start-up included")
    parser.add_argument("--seed", type=int, default=0, help="of the network's first weights")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, stop)
    train(given.epochs or (None if given.seconds else 10), given.seconds, given.seed)


if __name__ == "__main__":
    main()
