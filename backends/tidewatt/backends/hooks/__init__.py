"""What a training script may tell Tidewatt, and ask: phases, counts, checkpoints; is a pause coming?"""

from tidewatt.backends.hooks.torch_loop import loop
from tidewatt.backends.hooks.words import (
    active,
    checkpoint,
    counts,
    epoch,
    flops,
    flush,
    parameters,
    pause_coming,
    phase,
    resumed,
    samples,
    steps,
    tokens,
)

__all__ = [
    "active",
    "checkpoint",
    "counts",
    "epoch",
    "flops",
    "flush",
    "loop",
    "parameters",
    "pause_coming",
    "phase",
    "resumed",
    "samples",
    "steps",
    "tokens",
]
