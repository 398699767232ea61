"""What is checked before minutes of work of which a picture shall be drawn."""

from importlib.util import find_spec
from pathlib import Path

from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.picture_file import NEEDED, check_ending


def refuse_picture(picture: Path | None) -> None:
    """Refuses a picture that could not be drawn in the end."""
    if picture is None:
        return
    check_ending(picture)
    if not picture.absolute().parent.is_dir():
        raise BadInput(f"the folder of {picture} does not exist")
    if find_spec("matplotlib") is None:
        raise BadInput(NEEDED)
