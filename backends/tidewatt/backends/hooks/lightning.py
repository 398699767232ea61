"""A callback for Lightning's Trainer: `Trainer(callbacks=[TidewattCallback()])`.

Its hooks and what they get are those of `lightning.pytorch.Callback` 2.6 (and of `pytorch_lightning` 2.6):
`on_train_start`, `on_train_batch_start`, `on_train_batch_end`, `on_train_epoch_end`, `on_validation_start`,
`on_validation_end`, `on_save_checkpoint`, `on_train_end`, `on_exception`, each `(trainer, pl_module, …)`, and
of the trainer `global_step`, `is_global_zero`, `sanity_checking`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidewatt.backends.hooks import words

if TYPE_CHECKING:
    from collections.abc import Callable

    Callback = object
else:
    try:
        from lightning.pytorch import Callback
    except ImportError:
        try:
            from pytorch_lightning import Callback
        except ImportError:  # whoever has no Trainer calls none of it
            Callback = object


class TidewattCallback(Callback):
    """Reports steps, epochs, checkpoints and validation phases of a Trainer.

    The first process speaks for all, but for samples, which each counts itself: `samples` tells how many are
    in a batch, without it none are counted. Lightning has no hook after a checkpoint was written: it is
    reported with the hook that comes next.
    """

    def __init__(self, samples: Callable[[Any], int] | None = None) -> None:
        super().__init__()
        self._samples = samples
        self._step = 0
        self._saving: int | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begins; a Trainer that does not begin at step 0 goes on from a checkpoint."""
        self._step = trainer.global_step
        if trainer.is_global_zero:
            if trainer.global_step:
                words.resumed(step=trainer.global_step)
            if size := sum(part.numel() for part in pl_module.parameters()):
                words.parameters(size)
            words.phase("train")

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """A checkpoint that was being saved is saved."""
        self._saved(trainer)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts the optimiser steps that the batch made, and its samples."""
        if trainer.is_global_zero:
            words.steps(max(0, trainer.global_step - self._step))
            self._step = trainer.global_step
        if self._samples is not None:
            words.samples_of(self._samples, batch)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Counts an epoch."""
        self._saved(trainer)
        if trainer.is_global_zero:
            words.epoch()

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Begins a validation."""
        self._saved(trainer)
        if trainer.is_global_zero and not trainer.sanity_checking:
            words.phase("validate")

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Ends a validation."""
        if trainer.is_global_zero and not trainer.sanity_checking:
            words.phase("train")

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """A checkpoint is about to be written."""
        self._saving = trainer.global_step

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Ends the phase, and tells who keeps track of the run."""
        self._saved(trainer)
        if trainer.is_global_zero:
            words.phase("")
            words.end_of_run()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Whether a checkpoint that was being saved came to its end is not known: it is not reported."""
        self._saving = None

    def _saved(self, trainer: Any) -> None:
        if self._saving is not None and trainer.is_global_zero:
            words.checkpoint(step=self._saving)
        self._saving = None
