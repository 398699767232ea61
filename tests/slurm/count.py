"""A training script in small: counts to N a fifth of a second each, and saves its count at SIGTERM."""

import os
import signal
import sys
import time
from pathlib import Path


def main(last: int, path: Path) -> int:
    """Ends with 85 where it was paused; each count is a line of its output."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    count = int(path.read_text()) if path.exists() and "TIDEWATT_RESUME" in os.environ else 0
    while count < last:
        count += 1
        print(f"count {count}", flush=True)
        time.sleep(0.2)
        if asked:
            draft = path.with_suffix(".draft")
            draft.write_text(str(count))
            draft.replace(path)
            return 85
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
