"""The callbacks report what a training loop did, by the hook names that the frameworks publish.

The frameworks themselves are too heavy for this run: `benchmarks/hooks_for_real.py` trains with them.
"""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.backends.hooks.scripts import run, told
from tidewatt.backends import hooks
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.hooks import hugging_face, lightning, words

HUGGING_FACE = {  # transformers 5.23.0, trainer_callback.py: class TrainerCallback
    "on_init_end", "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_step_begin",
    "on_pre_optimizer_step", "on_optimizer_step", "on_substep_end", "on_step_end", "on_evaluate",
    "on_predict", "on_save", "on_log", "on_prediction_step", "on_push_begin",
}  # fmt: skip
LIGHTNING = {  # lightning 2.6.6, pytorch/callbacks/callback.py: class Callback; what follows `self`
    "setup": "trainer pl_module stage", "teardown": "trainer pl_module stage",
    "on_fit_start": "trainer pl_module", "on_fit_end": "trainer pl_module",
    "on_sanity_check_start": "trainer pl_module", "on_sanity_check_end": "trainer pl_module",
    "on_train_batch_start": "trainer pl_module batch batch_idx",
    "on_train_batch_end": "trainer pl_module outputs batch batch_idx",
    "on_train_epoch_start": "trainer pl_module", "on_train_epoch_end": "trainer pl_module",
    "on_train_start": "trainer pl_module", "on_train_end": "trainer pl_module",
    "on_validation_start": "trainer pl_module", "on_validation_end": "trainer pl_module",
    "on_exception": "trainer pl_module exception",
    "on_save_checkpoint": "trainer pl_module checkpoint",
    "on_load_checkpoint": "trainer pl_module checkpoint",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An attempt's folder, into which this very process tells."""
    monkeypatch.setattr(words, "_LOOK_S", 0.0)
    words.begin(str(tmp_path / "marks"))
    yield tmp_path
    words.begin(None)


def model(*sizes: int) -> Any:
    return SimpleNamespace(
        parameters=lambda: [SimpleNamespace(numel=lambda size=size: size) for size in sizes]
    )


def state(step: int = 0, epoch: float = 0.0, first: bool = True, **more: Any) -> Any:
    known = {"total_flos": 0.0, "num_input_tokens_seen": 0} | more
    return SimpleNamespace(global_step=step, epoch=epoch, is_world_process_zero=first, **known)


def hugging_face_training(callback: Any, begin: int = 0, end: int = 8, first: bool = True) -> None:
    """What a Trainer calls: 4 steps an epoch of 30 samples, an evaluation and a checkpoint after each."""
    loader = SimpleNamespace(dataset=range(30))
    control = SimpleNamespace(should_save=False)

    def call(event: str, at: Any) -> None:
        getattr(callback, event)(None, at, control, model=model(3, 4), train_dataloader=loader)

    def at(step: int) -> Any:
        return state(step, step / 4, first, total_flos=1e15 * step, num_input_tokens_seen=100 * step)

    call("on_train_begin", at(begin))
    for step in range(begin + 1, end + 1):
        call("on_step_end", at(step))
        if step % 4 == 0:
            call("on_epoch_end", at(step))
            call("on_prediction_step", at(step))
            call("on_prediction_step", at(step))
            call("on_evaluate", at(step))
            call("on_save", at(step))
    call("on_train_end", at(end))


def test_hugging_face_callback_counts_a_training(folder: Path) -> None:
    hugging_face_training(hugging_face.TidewattCallback())
    assert hooks.counts() == {
        "steps": 8, "samples": 60, "epochs": 2, "tokens": 800, "flops": 8 * 10**15, "parameters": 7
    }  # fmt: skip
    found = told(folder)
    assert [step for _, step in found.checkpoints] == [4, 8]
    assert found.kept == found.counts
    assert found.resumed_step is None


def test_hugging_face_callback_counts_only_what_came_after_a_checkpoint(folder: Path) -> None:
    hugging_face_training(hugging_face.TidewattCallback(), begin=4)
    assert hooks.counts()["steps"] == 4
    assert hooks.counts()["samples"] == 30
    assert hooks.counts()["flops"] == 4 * 10**15
    assert told(folder).resumed_step == 4


def test_only_the_first_process_of_a_hugging_face_training_speaks(folder: Path) -> None:
    hugging_face_training(hugging_face.TidewattCallback(), first=False)
    assert hooks.counts() == {}
    assert not told(folder)


def test_hugging_face_callback_saves_once_when_a_pause_is_coming(folder: Path) -> None:
    callback, control = hugging_face.TidewattCallback(), SimpleNamespace(should_save=False)

    def saves_at(step: int) -> bool:
        control.should_save = False
        hooks.flush()  # which a second does by itself
        callback.on_step_end(None, state(step), control)
        return bool(control.should_save)

    assert not saves_at(1)
    Attempt(folder).announce_pause(0)
    assert [saves_at(2), saves_at(3)] == [True, False]
    Attempt(folder).withdraw_pause()
    assert not saves_at(4)
    Attempt(folder).announce_pause(0)
    assert saves_at(5)


def lightning_training(callback: Any, begin: int = 0, end: int = 8) -> None:
    """What a Trainer calls: 4 batches an epoch, a validation and a checkpoint after each."""
    trainer = SimpleNamespace(global_step=begin, is_global_zero=True, sanity_checking=True)
    module = model(3, 4)
    callback.on_validation_start(trainer, module)
    callback.on_validation_end(trainer, module)
    trainer.sanity_checking = False
    callback.on_train_start(trainer, module)
    for step in range(begin + 1, end + 1):
        callback.on_train_batch_start(trainer, module, [1, 2], step)
        trainer.global_step = step
        callback.on_train_batch_end(trainer, module, None, [1, 2], step)
        if step % 4 == 0:
            callback.on_save_checkpoint(trainer, module, {})
            callback.on_validation_start(trainer, module)
            callback.on_validation_end(trainer, module)
            callback.on_train_epoch_end(trainer, module)
    callback.on_save_checkpoint(trainer, module, {})
    callback.on_train_end(trainer, module)


def test_lightning_callback_counts_a_training(folder: Path) -> None:
    lightning_training(lightning.TidewattCallback(samples=len))
    assert hooks.counts() == {"steps": 8, "samples": 16, "epochs": 2, "parameters": 7}
    found = told(folder)
    assert {step for _, step in found.checkpoints} == {4, 8}
    assert found.resumed_step is None


def test_lightning_callback_goes_on_from_a_checkpoint(folder: Path) -> None:
    lightning_training(lightning.TidewattCallback(), begin=4)
    assert hooks.counts() == {"steps": 4, "epochs": 1, "parameters": 7}
    assert told(folder).resumed_step == 4


def test_checkpoint_that_broke_off_is_not_reported(folder: Path) -> None:
    callback = lightning.TidewattCallback()
    trainer = SimpleNamespace(global_step=4, is_global_zero=True, sanity_checking=False)
    callback.on_save_checkpoint(trainer, None, {})
    callback.on_exception(trainer, None, OSError("the disk is full"))
    callback.on_train_batch_start(trainer, None, None, 5)
    assert told(folder).checkpoints == ()


def test_hugging_face_callback_has_published_hooks_only() -> None:
    ours = {
        name: found for name, found in vars(hugging_face.TidewattCallback).items() if name.startswith("on_")
    }
    assert ours
    assert set(ours) <= HUGGING_FACE
    for found in ours.values():
        names = list(inspect.signature(found).parameters)
        assert names == ["self", "args", "state", "control", "kwargs"]


def test_lightning_callback_has_published_hooks_only() -> None:
    ours = {name: found for name, found in vars(lightning.TidewattCallback).items() if name.startswith("on_")}
    assert ours
    for name, found in ours.items():
        assert " ".join(list(inspect.signature(found).parameters)[1:]) == LIGHTNING[name]


@pytest.mark.parametrize(
    ("module", "name", "ours"),
    [
        ("transformers", "TrainerCallback", "hugging_face"),
        ("lightning.pytorch", "Callback", "lightning"),
        ("pytorch_lightning", "Callback", "lightning"),
    ],
)
def test_callback_is_one_of_the_framework_where_that_is_installed(
    tmp_path: Path, module: str, name: str, ours: str
) -> None:
    package = tmp_path.joinpath(*module.split("."))
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"class {name}:\n    def on_push_begin(self): return 'theirs'\n")
    out, _ = run(
        f"""
        import sys; sys.path.insert(0, {str(tmp_path)!r})
        from {module} import {name}
        from tidewatt.backends.hooks.{ours} import TidewattCallback
        print(issubclass(TidewattCallback, {name}), TidewattCallback().on_push_begin())
        """,
        tmp_path,
    )
    assert out == "True theirs\n"


def test_callbacks_can_be_imported_without_their_frameworks() -> None:
    assert {"transformers", "lightning", "pytorch_lightning"}.isdisjoint(sys.modules)
    assert hugging_face.TidewattCallback()
    assert lightning.TidewattCallback()
