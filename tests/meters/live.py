"""A scene on real seconds: for meters that run as processes of their own."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.meters.fault_case import Case
from tests.meters.run import prepare
from tests.meters.scene import Scene
from tests.nvml.fake_nvml import now_ms

_STEP_S = 0.01  # how often counters of zones move


@contextmanager
def live_scene(case: Case, folder: Path, library: Path) -> Iterator["LiveScene"]:
    """The hardware of a case, with counters that move until the context ends."""
    scene = LiveScene(Scene.in_folder(folder, library, now_ms))
    scene.scene.powercap.by_mode = True
    prepare(case, scene.scene)
    mover = threading.Thread(target=scene.move, daemon=True)
    mover.start()
    try:
        yield scene
    finally:
        scene.over.set()
        mover.join()


class LiveScene:
    """What happens to a scene while its counters move."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.over = threading.Event()
        self._turn = threading.Lock()

    def move(self) -> None:
        """Keeps the zones' counters up to date."""
        while not self.over.wait(_STEP_S):
            with self._turn:
                self.scene.powercap.write()

    def play(self, case: Case, seconds: float) -> None:
        """The events of a case, at their parts of so many seconds; returns when these are over."""
        began = time.monotonic()
        for event in case.events:
            time.sleep(max(0.0, began + event.at * seconds - time.monotonic()))
            with self._turn:
                event.happens(self.scene)
        time.sleep(max(0.0, began + seconds - time.monotonic()))
