"""Trained continuations on the disk: arrays and a header in JSON, nothing that runs when it is read."""

import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.models.continuation import BLOCK_H, LEADS_H, LEVEL, Continuation, Mean, Worth
from tidewatt.forecasting.models.stored import content, path_of, write
from tidewatt.forecasting.models.trees import Forest, forest, joined

FORMAT = 1
NAME = "continuation"
DEEPEST = 64
TREE = ("root", "feature", "threshold", "missing_left", "left", "right", "value")
KINDS = ("int32", "int16", "float64", "bool", "int32", "int32", "float64")
SHAPES = {"level": (len(LEVEL),), "errors": (2, len(LEADS_H) - 1, 24 // BLOCK_H)}
Array = NDArray[Any]


def place(folder: Path, zone: str, source: str, quantity: str) -> Path:
    """Where the continuation of a source's quantity lies."""
    return path_of(folder, zone, f"{NAME} {source} {quantity}")


def save(model: Continuation, path: Path) -> None:
    """Writes the model, readable by its owner alone; who reads meanwhile sees the old one or the new one."""
    trees = _plain(model)
    worth = model.worth
    header = {
        "format": FORMAT,
        "zone": model.zone,
        "trained_ms": model.trained_ms,
        "features": list(model.names),
        "worth": [worth.own, worth.usual, worth.days],
        "start": trees.start,
        "depth": trees.depth,
    }
    text = json.dumps(header, allow_nan=False).encode()
    arrays: dict[str, Array] = {
        "header": np.frombuffer(text, np.uint8),
        "level": model.level,
        "errors": model.errors,
    }
    write({**arrays, **{name: getattr(trees, name) for name in TREE}}, path)


def load(path: Path) -> Continuation:
    """The model in a file of ours, every index in it checked.

    Raises:
        ForecastError: it is not there, not a file of this user alone, damaged or of another format.
    """
    packed = content(path)
    try:
        with np.load(BytesIO(packed), allow_pickle=False) as file:
            header = json.loads(bytes(file["header"]).decode())
            if header.get("format") != FORMAT:
                raise ForecastError(f"{path.name} has format {header.get('format')}, not {FORMAT}")
            names = tuple(map(str, header["features"]))
            level, errors = (_checked(file[name], "float64", SHAPES[name]) for name in SHAPES)
            own, usual, days = header["worth"]
            return Continuation(
                zone=str(header["zone"]),
                trained_ms=int(header["trained_ms"]),
                names=names,
                trees=_forest(file, header, len(names)),
                level=level,
                errors=errors,
                worth=Worth(_share(own), _share(usual), int(days)),
            )
    except (
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        OSError,
        zipfile.BadZipFile,
    ) as error:
        raise ForecastError(f"{path.name} is damaged ({type(error).__name__}): train it anew") from error


def _plain(model: Continuation) -> Forest:
    """The trees as arrays, without scikit-learn."""
    if isinstance(model.trees, Forest):
        return model.trees
    members = model.trees.members if isinstance(model.trees, Mean) else (model.trees,)
    return joined([forest(each) for each in members])


def _forest(file: Any, header: dict[str, Any], width: int) -> Forest:
    """The trees, which point at nothing outside of themselves."""
    parts = [_checked(file[name], kind, None) for name, kind in zip(TREE, KINDS, strict=True)]
    root, feature, threshold, missing_left, left, right, value = parts
    nodes, depth = len(value), int(header["depth"])
    if any(len(each) != nodes for each in (feature, threshold, missing_left, left, right)):
        raise ValueError("trees have arrays of different lengths")
    within = all(((each >= 0) & (each < nodes)).all() for each in (root, left, right))
    if not within or not ((feature >= 0) & (feature < width)).all() or not 0 <= depth <= DEEPEST:
        raise ValueError("trees point outside of themselves")
    return Forest(float(header["start"]), depth, root, feature, threshold, missing_left, left, right, value)


def _checked(values: Array, kind: str, shape: tuple[int, ...] | None) -> Array:
    if values.dtype.name != kind or (values.ndim != 1 if shape is None else values.shape != shape):
        raise ValueError(f"an array of {values.dtype} {values.shape} is none of this format")
    return values


def _share(value: object) -> float | None:
    return None if value is None else float(str(value))
