"""What is checked before minutes of work of which a picture shall be drawn."""

from importlib.util import find_spec
from pathlib import Path

from tidewatt.scheduler.errors import BadInput


def refuse_picture(picture: Path | None) -> None:
    """Refuses a picture that could not be drawn in the end."""
    if picture is None:
        return
    if picture.suffix not in {".svg", ".png"}:
        raise BadInput(f"{picture.name}: pictures are .svg or .png")
    if not picture.absolute().parent.is_dir():
        raise BadInput(f"the folder of {picture} does not exist")
    if find_spec("matplotlib") is None:
        raise BadInput(
            "pictures need matplotlib, which is not installed: pip install 'tidewatt[pictures]'"
            " (in a checkout: pip install '.[pictures]')"
        )
