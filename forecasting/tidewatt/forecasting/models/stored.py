"""Models on the disk: arrays and a header in JSON, nothing that runs when it is read."""

import hashlib
import json
import os
import re
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.models.linear import Linear
from tidewatt.forecasting.models.trained import MEMBERS, Block, Model
from tidewatt.forecasting.models.trees import Forest

FORMAT = 1
LARGEST_BYTES = 64 * 1024 * 1024
DEEPEST = 64
KINDS = ("float64", "int32", "int16", "bool")
TREE = ("root", "feature", "threshold", "missing_left", "left", "right", "value")
LINE = ("centre", "scale", "weight", "start")
Array = NDArray[Any]

DAMAGE = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError),
    *(TypeError, ValueError, struct.error, zipfile.BadZipFile, zlib.error),
)
"""What zipfile, numpy, json and our own reading may raise on bytes that are not what was written."""


def path_of(folder: Path, zone: str, quantity: str) -> Path:
    """Where the model of a zone and quantity lies."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", f"{zone} {quantity}").strip("-")
    digest = hashlib.sha256(f"{zone}\n{quantity}".encode()).hexdigest()[:8]
    return folder / f"{words}.{digest}.npz"


def save(model: Model, path: Path) -> None:
    """Writes the model, readable by its owner alone; who reads meanwhile sees the old one or the new one."""
    write(_Packed.of(model).arrays(), path)


def write(arrays: Mapping[str, Array], path: Path) -> None:
    """Replaces the file by one of these arrays, readable by its owner alone, all of it or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load(path: Path) -> Model:
    """The model in a file of ours.

    Raises:
        ForecastError: it is not there, not a regular file of this user, writable by others, damaged or of
            another format; the text says which.
    """
    owned = content(path)
    try:
        with np.load(BytesIO(owned), allow_pickle=False) as file:
            header = json.loads(bytes(file["header"]).decode())
            if header.get("format") != FORMAT:
                raise ForecastError(
                    f"{path.name} has format {header.get('format')}, this release reads {FORMAT}"
                )
            return _Packed(header, {kind: file[kind] for kind in KINDS}).model()
    except DAMAGE as error:
        raise ForecastError(
            f"{path.name} is damaged ({type(error).__name__}): it will be trained anew"
        ) from error


def content(path: Path) -> bytes:
    """The bytes of a regular file that this user owns and nobody else can write.

    Raises:
        ForecastError: it is none, or larger than any model.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ForecastError(f"{path.name} cannot be read: {error.strerror}") from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise ForecastError(f"{path.name} is not a regular file")
    with os.fdopen(handle, "rb") as file:
        if status.st_uid != os.geteuid():
            raise ForecastError(f"{path.name} belongs to another user: its content is not trusted")
        if status.st_mode & 0o022:
            raise ForecastError(
                f"{path.name} can be written by others: its content is not trusted (chmod 600)"
            )
        if status.st_size > LARGEST_BYTES:
            raise ForecastError(f"{path.name} is larger than any model: its content is not trusted")
        return file.read(LARGEST_BYTES + 1)


@dataclass(frozen=True, slots=True)
class _Packed:
    """A header, and all arrays of a kind of number one after another."""

    header: dict[str, Any]
    numbers: Mapping[str, Array]

    @classmethod
    def of(cls, model: Model) -> "_Packed":
        """The model packed."""
        parts: dict[str, list[Array]] = {kind: [] for kind in KINDS}
        places: dict[str, tuple[str, int, list[int]]] = {}
        for name, values in _named(model):
            kind = values.dtype.name
            places[name] = kind, sum(part.size for part in parts[kind]), list(values.shape)
            parts[kind].append(np.ravel(values))
        header = {
            "format": FORMAT,
            "zone": model.zone,
            "quantity": model.quantity,
            "from_ms": model.from_ms,
            "to_ms": model.to_ms,
            "name": model.name,
            "features": list(model.features),
            "captured": dict(model.captured),
            "judged_days": model.judged_days,
            "coverage": None if np.isnan(model.coverage) else model.coverage,
            "blocks": [_described(block) for block in model.blocks],
            "arrays": places,
        }
        joined = {kind: np.concatenate(part) if part else np.empty(0, kind) for kind, part in parts.items()}
        return cls(header, joined)

    def arrays(self) -> dict[str, Array]:
        """What goes into the file."""
        text = json.dumps(self.header, allow_nan=False).encode()
        return {"header": np.frombuffer(text, np.uint8), **self.numbers}

    def model(self) -> Model:
        """The model again, every index in it checked."""
        header = self.header
        features = tuple(map(str, header["features"]))
        return Model(
            zone=str(header["zone"]),
            quantity=str(header["quantity"]),
            from_ms=int(header["from_ms"]),
            to_ms=int(header["to_ms"]),
            features=features,
            blocks=tuple(
                self._block(number, described, len(features))
                for number, described in enumerate(header["blocks"])
            ),
            captured={str(name): float(share) for name, share in header["captured"].items()},
            judged_days=float(header["judged_days"]),
            coverage=float("nan") if header["coverage"] is None else float(header["coverage"]),
            name=str(header["name"]),
        )

    def _block(self, number: int, described: Mapping[str, Any], width: int) -> Block:
        direct, rest = (
            None if described[part] is None else self._forest(f"{number}.{part}", described[part], width)
            for part in ("direct", "rest")
        )
        line = Linear(*(self._array(f"{number}.line.{name}") for name in LINE))
        weight, p10, p90 = (self._array(f"{number}.{name}") for name in ("weight", "p10", "p90"))
        stretches = len(line.start)
        shapes = (line.centre.shape, line.scale.shape, line.weight.shape, weight.shape, p10.shape, p90.shape)
        if shapes != ((width,), (width,), (stretches, width), (len(MEMBERS),), (24,), (24,)):
            raise ValueError(f"block {number} has arrays of other shapes")
        return Block(int(described["start_h"]), int(described["end_h"]), direct, rest, line, weight, p10, p90)

    def _forest(self, name: str, described: Mapping[str, Any], width: int) -> Forest:
        root, feature, threshold, missing_left, left, right, value = (
            self._array(f"{name}.{part}") for part in TREE
        )
        nodes, depth = len(value), int(described["depth"])
        if any(len(each) != nodes for each in (feature, threshold, missing_left, left, right)):
            raise ValueError(f"{name} has arrays of different lengths")
        within = all(((each >= 0) & (each < nodes)).all() for each in (root, left, right))
        if not within or not ((feature >= 0) & (feature < width)).all() or not 0 <= depth <= DEEPEST:
            raise ValueError(f"{name} points outside of itself")
        start = float(described["start"])
        return Forest(start, depth, root, feature, threshold, missing_left, left, right, value)

    def _array(self, name: str) -> Array:
        kind, at, shape = self.header["arrays"][name]
        size = int(np.prod(shape, dtype=np.int64))
        flat = self.numbers[kind]
        if at < 0 or size < 0 or at + size > len(flat) or flat.dtype.name != kind:
            raise ValueError(f"{name} is outside of the file")
        return np.asarray(flat[at : at + size].reshape(shape))


def _described(block: Block) -> dict[str, Any]:
    """What of a block is no array."""
    forests = {"direct": block.direct, "rest": block.rest}
    return {
        "start_h": block.start_h,
        "end_h": block.end_h,
        **{
            name: None if forest is None else {"start": forest.start, "depth": forest.depth}
            for name, forest in forests.items()
        },
    }


def _named(model: Model) -> Iterator[tuple[str, Array]]:
    """All arrays of a model by name."""
    for number, block in enumerate(model.blocks):
        for part, forest in (("direct", block.direct), ("rest", block.rest)):
            if forest is not None:
                for name in TREE:
                    yield f"{number}.{part}.{name}", getattr(forest, name)
        for name in LINE:
            yield f"{number}.line.{name}", getattr(block.line, name)
        for name in ("weight", "p10", "p90"):
            yield f"{number}.{name}", getattr(block, name)
