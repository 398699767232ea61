"""A training script without a framework: its weight is a product of all steps, kept whole at SIGTERM or USR1.

`python counting.py STEPS FOLDER [--resume]`. It prints the weight that an uninterrupted run ends with, too.
Once it is under way it makes the file that the variable `UNDER_WAY` names.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

asked: list[int] = []


def step(weight: int, number: int) -> int:
    return (weight * 6364136223846793005 + number) % 2**64


def main() -> None:
    for name in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(name, lambda number, _: asked.append(number))
    steps, folder = int(sys.argv[1]), Path(os.environ.get("TIDEWATT_CHECKPOINT_DIR", sys.argv[2]))
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "weights.json"
    weight, done = 1, 0
    if "--resume" in sys.argv and os.environ.get("TIDEWATT_RESUME") == "1":
        state = json.loads(kept.read_text())
        weight, done = state["weight"], state["done"]
        print(f"resumed at {done}", flush=True)
    while done < steps and not asked:
        weight, done = step(weight, done), done + 1
        time.sleep(0.02)
        if done == 10:
            print("under way", flush=True)
            if sign := os.environ.get("UNDER_WAY"):
                Path(sign).touch()
    if done < steps:
        draft = folder / "weights.tmp"
        draft.write_text(json.dumps({"weight": weight, "done": done}))
        draft.replace(kept)
        print(f"kept at {done}", flush=True)
        sys.exit(85)
    print(f"weight {weight}", flush=True)


if __name__ == "__main__":
    main()
