"""A PyTorch training that is paused 20 times and moved between two regions, against one that was not.

    .venv/bin/python benchmarks/pausing_torch.py --python PYTHON [--pauses 20]

PYTHON is any interpreter that has PyTorch. The real daemon runs the training, the command line pauses, moves
and resumes it; weights and optimiser are compared bit by bit, and the receipt's bundle is verified. It prints
what saving and coming back took. On a machine with a GPU the training takes it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

TIDEWATT = Path(sys.executable).parent / "tidewatt"
TRAINING = """
import os, signal, sys, time
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
pausing = []
signal.signal(signal.SIGTERM, lambda *_: pausing.append(1))
import torch
torch.use_deterministic_algorithms(True)
torch.set_num_threads(1)
torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"
width = 64
layers = [torch.nn.Linear(width, 256), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(256, width)]
model = torch.nn.Sequential(*layers).to(device)
optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
steps, pace_s, out = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
kept, step = os.environ.get("TIDEWATT_CHECKPOINT"), 0
if kept:
    state = torch.load(kept, map_location=device, weights_only=True)
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["rng"].cpu())
    if device == "cuda":
        torch.cuda.set_rng_state(state["cuda_rng"].cpu())
    step = state["step"]

def save(path):
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
    state["rng"] = torch.get_rng_state()
    if device == "cuda":
        state["cuda_rng"] = torch.cuda.get_rng_state()
    torch.save(state, path + ".part")
    os.replace(path + ".part", path)

print("begins at step", step, flush=True)
while step < steps:
    if pausing and step:
        folder = os.environ["TIDEWATT_CHECKPOINT_DIR"]
        os.makedirs(folder, exist_ok=True)
        save(os.path.join(folder, "training.pt"))
        sys.exit(85)
    batch = torch.randn(128, width, device=device)
    loss = ((model(batch) - batch.roll(1, 1)) ** 2).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    step += 1
    time.sleep(pace_s)
save(out)
"""
SAME = """
import sys, torch
one, two = (torch.load(path, map_location="cpu", weights_only=True) for path in sys.argv[1:])
def flat(value):
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for each in (value.values() if isinstance(value, dict) else value):
            yield from flat(each)
pairs = list(zip(flat(one), flat(two), strict=True))
different = sum(not torch.equal(a, b) for a, b in pairs)
print(f"{len(pairs)} tensors compared, {different} differ; step {one['step']} and {two['step']}")
sys.exit(different > 0 or one["step"] != two["step"])
"""
CONFIG = """
zone = "DE"
meter_interval_s = 1.0
[[source]]
type = "file"
path = "grid.csv"
hindsight = true
[[region]]
name = "eu"
zone = "DE"
cpus = 1
home = true
checkpoints = "{folder}/eu"
[[region]]
name = "us"
zone = "US-CAL-CISO"
cpus = 1
checkpoints = "{folder}/us"
"""


class Bench:
    """One daemon in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        private = {"TIDEWATT_HOME": folder / "home", "XDG_RUNTIME_DIR": folder / "run"}
        for each in private.values():
            each.mkdir(mode=0o700)
        self.environ = os.environ | {name: str(path) for name, path in private.items()} | {"TZ": "UTC"}

    def tidewatt(self, *words: str) -> str:
        """What a command prints; raises where it fails."""
        done = subprocess.run(
            [str(TIDEWATT), *words],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"tidewatt {' '.join(words)}: {done.stderr}")
        return done.stdout

    def job(self, number: str) -> Any:
        """The job as it stands."""
        return json.loads(self.tidewatt("show", "--json", number))

    def until(self, number: str, *states: str) -> Any:
        """The job once it is in one of these states."""
        while (job := self.job(number))["state"] not in states:
            time.sleep(0.1)
        return job


def grid() -> str:
    """What both zones emit, made up and the same at all times, from yesterday until tomorrow."""
    rows = ["zone,start,step_s,gco2_per_kwh,signal,basis,boundary"]
    first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=1)
    for minute in range(2 * 1440):
        start = (first + timedelta(minutes=minute)).isoformat()
        rows += [
            f"{zone},{start},60,{value},average,lifecycle,production"
            for zone, value in (("DE", 100), ("US-CAL-CISO", 400))
        ]
    return "\n".join(rows) + "\n"


def paused(bench: Bench, python: str, steps: int, pace_s: float, pauses: int) -> Any:
    """The job, done, after so many pauses, each time in the other region."""
    command = [python, "train.py", str(steps), str(pace_s), "paused.pt"]
    how = ["--pausable", "--preset", "pytorch", "--moves", "--checkpoint-dir", "checkpoints"]
    said = bench.tidewatt("submit", "--json", "--duration", "1h", *how, "--", *command)
    job = json.loads(said)["job"]
    number, output = str(job["id"]), Path(job["stdout"])
    for done in range(pauses):
        while not output.exists() or output.read_text().count("begins at step") <= done:
            time.sleep(0.1)
        bench.tidewatt("pause", number)
        bench.until(number, "paused")
        bench.tidewatt("update", number, "--region", ("us", "eu")[done % 2])
        bench.tidewatt("resume", number)
    return bench.until(number, "done", "failed", "cancelled")


def main() -> None:
    """Runs both trainings and compares them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, help="an interpreter that has PyTorch")
    parser.add_argument("--pauses", type=int, default=20)
    parser.add_argument("--pace", type=float, default=0.02, help="seconds that each step waits")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tw-torch-") as name:
        folder = Path(name)
        for region in ("eu", "us"):
            (folder / region).mkdir()
        (folder / "train.py").write_text(TRAINING)
        (folder / "grid.csv").write_text(grid())
        (folder / "config.toml").write_text(CONFIG.format(folder=folder))
        bench = Bench(folder)
        steps = 100 * given.pauses
        straight = [given.python, "train.py", str(steps), "0", "straight.pt"]
        subprocess.run(straight, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        bench.tidewatt("up", "--config", "config.toml")
        try:
            job = paused(bench, given.python, steps, given.pace, given.pauses)
            regions = [each["region"] for each in job["attempts"] if each["started"]]
            print(f"{job['state']}: {len(regions)} attempts in {', '.join(regions)}")
            while (account := bench.job(str(job["id"]))["settlement"] or {}).get("state", "none") == "none":
                time.sleep(0.5)
            pauses = account["pauses"]
            for key, what in (("saving_s", "saving"), ("coming_back_s", "coming back")):
                values = sorted(each[key] for each in pauses)
                median, most = values[len(values) // 2], values[-1]
                print(f"{what}: median {median:.2f} s of {len(values)}, most {most:.2f} s")
            bench.tidewatt("receipt", str(job["id"]), "--bundle", "job.zip")
            bench.tidewatt("verify", "job.zip")
            print("its receipt's bundle was verified")
            sys.stdout.flush()
            same = [given.python, "-c", SAME, "straight.pt", "paused.pt"]
            subprocess.run(same, cwd=folder, check=True)
        finally:
            bench.tidewatt("down")


if __name__ == "__main__":
    main()
