"""A callback for the Trainer of Hugging Face transformers: `Trainer(…, callbacks=[TidewattCallback()])`.

Its events and the names of what they get are those of `transformers.TrainerCallback` 5.23:
`on_train_begin`, `on_step_end`, `on_epoch_end`, `on_prediction_step`, `on_evaluate`, `on_save`, `on_log`,
`on_train_end`, each `(args, state, control, **kwargs)` with `model` and `train_dataloader` among the latter,
and of the state `global_step`, `epoch`, `total_flos`, `num_input_tokens_seen`, `is_world_process_zero`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidewatt.backends.hooks import words

if TYPE_CHECKING:
    TrainerCallback = object
else:
    try:
        from transformers import TrainerCallback
    except ImportError:  # whoever has no Trainer calls none of it
        TrainerCallback = object


class TidewattCallback(TrainerCallback):
    """Reports steps, epochs, samples, tokens, FLOPs, checkpoints and evaluation phases of a Trainer.

    The first process of a job speaks for all: the Trainer's numbers are of all of them. Samples are counted
    where the data set's length is known, tokens with `include_num_input_tokens_seen`. With
    `save_before_pause` the Trainer saves a checkpoint as soon as a pause is announced.
    """

    def __init__(self, *, save_before_pause: bool = True) -> None:
        self._save_before_pause = save_before_pause
        self._saved_for_pause = False
        self._evaluating = False
        self._step = 0
        self._epoch = self._flops = self._tokens = 0.0  # as far as they are reported

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begins; a Trainer that does not begin at step 0 goes on from a checkpoint."""
        if not state.is_world_process_zero:
            return
        self._step = state.global_step
        self._epoch = float(state.epoch or 0)
        self._flops, self._tokens = float(state.total_flos or 0), float(state.num_input_tokens_seen or 0)
        if state.global_step:
            words.resumed(step=state.global_step)
        if size := _size(kwargs.get("model")):
            words.parameters(size)
        words.phase("train")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Counts a step; asks for a checkpoint where a pause is coming."""
        if state.is_world_process_zero:
            words.steps(max(0, state.global_step - self._step))
            self._step = state.global_step
            self._count_samples(state, kwargs.get("train_dataloader"))
            self._count_rest(state)
        pause_s = words.pause_coming() if self._save_before_pause else None
        if pause_s is None:
            self._saved_for_pause = False
        elif not self._saved_for_pause:
            self._saved_for_pause = True
            control.should_save = True
        return control

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Counts an epoch."""
        if state.is_world_process_zero:
            words.epoch()

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begins an evaluation with its first step."""
        if state.is_world_process_zero and not self._evaluating:
            self._evaluating = True
            words.phase("evaluate")

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ends an evaluation."""
        if state.is_world_process_zero:
            self._evaluating = False
            words.phase("train")

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A checkpoint was saved."""
        if state.is_world_process_zero:
            self._count_rest(state)
            words.checkpoint(step=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """FLOPs are brought up to date with each log."""
        if state.is_world_process_zero:
            self._count_rest(state)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ends the phase, and tells who keeps track of the run."""
        if state.is_world_process_zero:
            self._count_rest(state)
            words.phase("")
            words.end_of_run()

    def _count_samples(self, state: Any, loader: Any) -> None:
        """The data set's length times the share of it that was gone through: exact at an epoch's end."""
        try:
            length = len(loader.dataset)
        except (AttributeError, TypeError):  # a stream has no length
            return
        epoch = max(self._epoch, float(state.epoch or 0))
        words.samples(round(length * epoch) - round(length * self._epoch))
        self._epoch = epoch

    def _count_rest(self, state: Any) -> None:
        tokens, flops = float(state.num_input_tokens_seen or 0), float(state.total_flos or 0)
        if tokens > self._tokens:
            words.tokens(round(tokens - self._tokens))
            self._tokens = tokens
        if flops > self._flops:
            words.flops(round(flops - self._flops))
            self._flops = flops


def _size(model: Any) -> int:
    """The model's parameters; 0 where it does not tell."""
    try:
        return sum(part.numel() for part in model.parameters())
    except (AttributeError, TypeError):
        return 0
