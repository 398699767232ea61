"""The callbacks in the frameworks that they are made for, and MLflow and Weights & Biases told by the hooks.

    PYTHON benchmarks/hooks_for_real.py

PYTHON is one that has some of torch, transformers (with accelerate), lightning, mlflow or mlflow-skinny, and
wandb; it needs none of Tidewatt's own dependencies. What is not installed is said to be missing. Everything
stays in a temporary folder; nothing goes to any network. Ends with 1 where something that was told is not
what was trained.
"""

import importlib
import importlib.util
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "backends"))
os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "WANDB_ERROR_REPORTING": "false"}
os.environ |= {"MLFLOW_ALLOW_FILE_STORE": "true"}  # the slim package has no other
os.environ |= {"TIDEWATT_JOB_ID": "12", "TIDEWATT_ATTEMPT": "12.1", "TIDEWATT_JOB_ZONE": "DE"}

from tidewatt.backends import hooks, marks  # noqa: E402 - they are found only now
from tidewatt.backends.clock import Clock  # noqa: E402
from tidewatt.backends.hooks import words  # noqa: E402
from tidewatt.backends.marks import Marks  # noqa: E402

SAMPLES, BATCH, EPOCHS = 64, 8, 2
LONG_S = 0.005  # of an evaluation's step, so that the evaluation lasts some milliseconds
STEPS = SAMPLES // BATCH * EPOCHS
EVENTS = (
    "on_train_begin",
    "on_step_end",
    "on_epoch_end",
    "on_prediction_step",
    "on_evaluate",
    "on_save",
    "on_log",
)


def told(folder: Path, train: Callable[[], None]) -> Marks:
    """What was told during a training."""
    words.begin(str(folder / "marks"))
    start_ms = time.time_ns() // 1_000_000
    train()
    hooks.phase("")
    hooks.flush()
    words.begin(None)
    return marks.read(folder / "marks", Clock(), start_ms, time.time_ns() // 1_000_000 + 1)


def expect(what: str, found: object, wanted: object) -> None:
    """Prints what was found; raises where it is something else."""
    print(f"  {what}: {found}")
    if found != wanted:
        raise AssertionError(f"{what} is {found}, not {wanted}")


def hugging_face(folder: Path) -> None:
    """Two epochs with evaluations and checkpoints, then a third from the last checkpoint."""
    torch, framework = loaded("torch"), loaded("transformers")
    from tidewatt.backends.hooks.hugging_face import TidewattCallback

    assert all(hasattr(framework.TrainerCallback, event) for event in EVENTS)

    class Line(torch.nn.Module):  # type: ignore[name-defined,misc]  # not installed here
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def forward(self, x: Any, labels: Any) -> dict[str, Any]:
            time.sleep(0 if self.training else LONG_S)
            guess = self.layer(x).squeeze(-1)
            return {"loss": ((guess - labels) ** 2).mean(), "logits": guess}

    rows = [
        {"x": torch.full((4,), float(i % 5)), "labels": torch.tensor(float(i % 5))} for i in range(SAMPLES)
    ]

    def trainer(epochs: int) -> Any:
        arguments = framework.TrainingArguments(
            output_dir=str(folder / "out"), num_train_epochs=epochs, per_device_train_batch_size=BATCH,
            eval_strategy="epoch", save_steps=STEPS // 2, report_to=[], use_cpu=True, disable_tqdm=True,
            logging_steps=STEPS // 2,
        )  # fmt: skip
        return framework.Trainer(
            model=Line(), args=arguments, train_dataset=rows, eval_dataset=rows[:16],
            callbacks=[TidewattCallback()],
        )  # fmt: skip

    found = told(folder / "first", lambda: trainer(EPOCHS).train())
    expect("counts", dict(found.counts), {"steps": STEPS, "samples": SAMPLES * EPOCHS, "epochs": EPOCHS} | {
        "parameters": 5} | ({"flops": found.counts["flops"]} if "flops" in found.counts else {}))  # fmt: skip
    expect("checkpoints", [step for _, step in found.checkpoints], [STEPS // 2, STEPS])
    expect("phases", sorted({label for _, _, label in found.phases}), ["evaluate", "train"])
    found = told(folder / "second", lambda: trainer(EPOCHS + 1).train(resume_from_checkpoint=True))
    expect("resumed at step", found.resumed_step, STEPS)
    expect(
        "steps, samples since", [found.counts["steps"], found.counts["samples"]], [STEPS // EPOCHS, SAMPLES]
    )


def lightning(folder: Path) -> None:
    """Two epochs with validations and checkpoints, then a third from the last checkpoint."""
    torch, framework = loaded("torch"), loaded("lightning.pytorch")
    from tidewatt.backends.hooks.lightning import TidewattCallback

    class Line(framework.LightningModule):  # type: ignore[name-defined,misc]  # not installed here
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return (self.layer(batch) ** 2).mean()

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            time.sleep(LONG_S)
            self.layer(batch)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    loader: Any = torch.utils.data.DataLoader(torch.ones(SAMPLES, 4), batch_size=BATCH)

    def fit(epochs: int, checkpoint: str | None = None) -> None:
        saved = framework.callbacks.ModelCheckpoint(
            dirpath=folder / "out", every_n_train_steps=STEPS // 2, save_top_k=-1
        )
        trainer = framework.Trainer(
            max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[TidewattCallback(samples=len), saved],
        )  # fmt: skip
        trainer.fit(Line(), loader, loader, ckpt_path=checkpoint)

    found = told(folder / "first", lambda: fit(EPOCHS))
    expect("counts", dict(found.counts), {
        "steps": STEPS, "samples": SAMPLES * EPOCHS, "epochs": EPOCHS, "parameters": 5})  # fmt: skip
    expect("checkpoints", [step for _, step in found.checkpoints], [STEPS // 2, STEPS])
    expect("phases", sorted({label for _, _, label in found.phases}), ["train", "validate"])
    last = max((folder / "out").glob("*.ckpt"), key=lambda path: path.stat().st_mtime)
    found = told(folder / "second", lambda: fit(EPOCHS + 1, str(last)))
    expect("resumed at step", found.resumed_step, STEPS)
    expect(
        "steps, samples since", [found.counts["steps"], found.counts["samples"]], [STEPS // EPOCHS, SAMPLES]
    )


def plain_torch(folder: Path) -> None:
    """A loop over a loader, with a tensor's length as its samples."""
    torch = loaded("torch")
    loader: Any = torch.utils.data.DataLoader(torch.ones(SAMPLES, 4), batch_size=BATCH)

    def train() -> None:
        for _ in range(EPOCHS):
            for batch in hooks.loop(loader, samples=len):
                batch.sum()

    found = told(folder, train)
    expect("counts", dict(found.counts), {"steps": STEPS, "samples": SAMPLES * EPOCHS, "epochs": EPOCHS})


def distributed(folder: Path) -> None:
    """Two ranks that only torch knows the numbers of, each with its half of the samples."""
    torch = loaded("torch.multiprocessing")

    def train() -> None:
        os.environ["TIDEWATT_MARKS"] = str(folder / "marks")
        torch.spawn(one_rank, args=(str(folder),), nprocs=2)
        del os.environ["TIDEWATT_MARKS"]

    found = told(folder, train)
    expect("counts", dict(found.counts), {"steps": STEPS, "samples": SAMPLES * EPOCHS})
    expect("phases", [label for _, _, label in found.phases], ["rank 0"])


def one_rank(rank: int, folder: str) -> None:
    """What each of the processes does."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch = loaded("torch.distributed")
    torch.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    hooks.phase(f"rank {rank}")
    for _ in range(STEPS):
        torch.barrier()
        hooks.steps(samples=BATCH // 2)
    torch.destroy_process_group()


def three_steps() -> None:
    """A script that counts, and ends its run."""
    hooks.steps(3)
    words.end_of_run()


def mlflow(folder: Path) -> None:
    """A run that is tagged while it is active and gets its counts at the end."""
    tracker = loaded("mlflow")

    tracker.set_tracking_uri((folder / "runs").as_uri())
    with tracker.start_run() as run:
        told(folder, three_steps)
    data = tracker.MlflowClient().get_run(run.info.run_id).data
    tags = {name: value for name, value in data.tags.items() if name.startswith("tidewatt")}
    expect("tags", tags, {"tidewatt.job": "12", "tidewatt.attempt": "12.1", "tidewatt.zone": "DE"})
    expect("metric tidewatt.steps", data.metrics.get("tidewatt.steps"), 3.0)


def wandb(folder: Path) -> None:
    """A run without a network, whose configuration and summary are told."""
    tracker = loaded("wandb")

    run = tracker.init(project="hooks", dir=str(folder), mode="offline")
    told(folder, three_steps)
    expect("configuration", run.config["tidewatt"], {"job": "12", "attempt": "12.1", "zone": "DE"})
    expect("summary", dict(run.summary["tidewatt"])["steps"], 3)
    run.finish()


def loaded(module: str) -> Any:
    """A framework, which the type checker does not have."""
    return importlib.import_module(module)


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


CASES: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "transformers": (hugging_face, ("torch", "transformers", "accelerate")),
    "lightning": (lightning, ("torch", "lightning")),
    "torch": (plain_torch, ("torch",)),
    "torch.distributed": (distributed, ("torch",)),
    "mlflow": (mlflow, ("mlflow",)),
    "wandb": (wandb, ("wandb",)),
}


def main() -> int:
    """Runs what is installed; 1 where one of them did not tell what happened."""
    import warnings

    warnings.simplefilter("ignore")  # of the frameworks, about each other
    failed = False
    for name, (case, needed) in CASES.items():
        missing = [module for module in needed if not _has(module)]
        if missing:
            print(f"{name}: {', '.join(missing)} not installed")
            continue
        version = loaded(needed[0] if "." in name else name).__version__
        print(f"{name} {version}")
        with tempfile.TemporaryDirectory(prefix="tw-") as folder:
            try:
                case(Path(folder))
            except Exception:
                failed = True
                traceback.print_exc(limit=4, file=sys.stdout)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
