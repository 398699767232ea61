"""Whatever is done to a bundle is found by `verify`, and an honest one is never blamed.

`TIDEWATT_SOAK_MUTATIONS=1000` does 1,000 of each kind, and 1,000 honest bundles; else a few.
"""

import json
import os
import random
import zipfile
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import structlog

from tests.integration.scheduler.ledger_day import Day, day
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.proof import bundle, envelope, heads, lines
from tidewatt.scheduler.proof.archive import packed
from tidewatt.scheduler.proof.canonical import canonical, sha256
from tidewatt.scheduler.proof.chain import EMPTY
from tidewatt.scheduler.proof.envelope import Statement
from tidewatt.scheduler.proof.heads import Head
from tidewatt.scheduler.proof.keys import SigningKey, signing_key
from tidewatt.scheduler.proof.opening import Trust
from tidewatt.scheduler.proof.verify import verify

EACH = int(os.environ.get("TIDEWATT_SOAK_MUTATIONS", "5"))
Files = dict[str, bytes]
Mutation = Callable[[Files, random.Random, Files], None]


@pytest.fixture(autouse=True)
def quiet() -> None:
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())


@cache
def made(seed: int) -> tuple[Day, SigningKey]:
    """A day, and the key that its ledger was signed with."""
    with TemporaryDirectory() as folder:
        found = day(Path(folder) / "day", seed, jobs=3)
        return found, signing_key(Path(folder) / "day" / "home" / "keys")


@cache
def stranger() -> SigningKey:
    """Somebody else's key."""
    with TemporaryDirectory() as folder:
        return signing_key(Path(folder))


def unzipped(content: bytes) -> Files:
    with zipfile.ZipFile(BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def found(content: bytes, found_by: Day) -> list[str]:
    """What is wrong with a bundle, with the key of its owner at hand."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bundle.zip"
        path.write_bytes(content)
        try:
            outcome = verify(path, Trust(found_by.key))
        except BadInput as error:
            return [str(error)]
    return [each.found for each in outcome.findings if each.verdict == "broken"]


def any_file(files: Files, chance: random.Random) -> str:
    return chance.choice(sorted(files))


def split(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True)


def edit(files: Files, chance: random.Random, _other: Files) -> None:
    """Another byte somewhere."""
    name = any_file(files, chance)
    content = bytearray(files[name])
    place = chance.randrange(len(content))
    content[place] ^= chance.randrange(1, 256)
    files[name] = bytes(content)


def digit(files: Files, chance: random.Random, _other: Files) -> None:
    """Another digit of a number somewhere."""
    name = chance.choice([each for each in sorted(files) if not each.endswith(".pem")])
    content = bytearray(files[name])
    places = [place for place, byte in enumerate(content) if 48 <= byte <= 57]
    place = chance.choice(places)
    content[place] = 48 + (content[place] - 48 + chance.randrange(1, 10)) % 10
    files[name] = bytes(content)


def delete(files: Files, chance: random.Random, _other: Files) -> None:
    """A file, or a line of one, is gone."""
    name = any_file(files, chance)
    rows = split(files[name])
    if len(rows) < 2 or chance.random() < 0.3:
        del files[name]
        return
    del rows[chance.randrange(len(rows))]
    files[name] = b"".join(rows)


def reorder(files: Files, chance: random.Random, _other: Files) -> None:
    """Two lines of the chain, or of readings, have changed places."""
    name = chance.choice([each for each in sorted(files) if len(set(split(files[each]))) > 1])
    rows = split(files[name])
    one = chance.randrange(len(rows))
    other = chance.choice([place for place, row in enumerate(rows) if row != rows[one]])
    rows[one], rows[other] = rows[other], rows[one]
    files[name] = b"".join(rows)


def truncate(files: Files, chance: random.Random, _other: Files) -> None:
    """The end of a file is cut off, at a line of the chain's most of all."""
    name = bundle.CHAIN if chance.random() < 0.5 else any_file(files, chance)
    rows = split(files[name])
    if len(rows) > 1:
        files[name] = b"".join(rows[: chance.randrange(1, len(rows))])
    else:
        files[name] = files[name][: chance.randrange(len(files[name]))]


def swap(files: Files, chance: random.Random, other: Files) -> None:
    """A file is another bundle's, or two have changed places."""
    foreign = [name for name in sorted(files) if name in other and other[name] != files[name]]
    if foreign and chance.random() < 0.6:
        name = chance.choice(foreign)
        files[name] = other[name]
        return
    one, two = chance.sample(sorted(files), 2)
    files[one], files[two] = files[two], files[one]


def duplicate(files: Files, chance: random.Random, _other: Files) -> None:
    """A line stands twice, or a file under another name, too."""
    name = any_file(files, chance)
    if chance.random() < 0.3:
        files[f"copy/{name}"] = files[name]
        return
    rows = split(files[name])
    place = chance.randrange(len(rows))
    files[name] = b"".join([*rows[: place + 1], *rows[place:]])


def signed_by(key: SigningKey, files: Files, *, chain: bool) -> None:
    """Signs everything anew: heads and digests, and with `chain` as if the chain had always been so."""
    end = lines.read(files[bundle.CHAIN]).end if chain else EMPTY
    old = heads_of(files)
    anew = [Head(end.seq, end.hash, old[-1].time_ms)] if chain else old
    files[bundle.HEADS] = b"".join(heads.signed(head, key) + b"\n" for head in anew)
    files[bundle.KEY] = key.public.pem
    payload = json.loads(unsigned(files[bundle.STATEMENT]))
    digests = {name: sha256(content) for name, content in files.items() if name != bundle.STATEMENT}
    statement = Statement(envelope.BUNDLE, {**digests, bundle.LEDGER: anew[-1].hash}, payload["predicate"])
    files[bundle.STATEMENT] = envelope.sign(statement, key)


def heads_of(files: Files) -> list[Head]:
    found = []
    for line in files[bundle.HEADS].splitlines():
        form = json.loads(unsigned(line))
        told = form["predicate"]
        found.append(Head(told["seq"], form["subject"][0]["digest"]["sha256"], told["time_ms"]))
    return found


def unsigned(line: bytes) -> bytes:
    import base64

    return base64.b64decode(json.loads(line)["payload"])


def resign(files: Files, chance: random.Random, _other: Files) -> None:
    """All is signed anew with another key, half of the time with another number in it."""
    if chance.random() < 0.5:
        change_number(files, chance, chance.choice([bundle.RECEIPT, bundle.PUBLISHED]))
    signed_by(stranger(), files, chain=True)


def numbers(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where integers stand in a value."""
    if isinstance(value, bool):
        return []
    if isinstance(value, int):
        return [path]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [each for key, part in inner for each in numbers(part, (*path, key))]


def change(value: Any, path: tuple[Any, ...], chance: random.Random) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] += chance.choice([-1, 1, 1000, value[path[-1]] + 1])


def change_number(files: Files, chance: random.Random, name: str) -> None:
    if name in files:
        form = json.loads(files[name])
        places = numbers(form)
        change(form, chance.choice(places), chance)
        files[name] = canonical(form)


def rewrite(files: Files, chance: random.Random, _other: Files) -> None:
    """The owner of the key changes a number of an account, and writes and signs the whole chain anew."""
    head, *rows = [json.loads(row) for row in split(files[bundle.CHAIN])]
    accounts = [
        row for row in rows if str(row.get("kind", "")).startswith("settlement.") and "payload" in row
    ]
    account = accounts[-1] if bundle.RECEIPT in files else chance.choice(accounts)
    record = account["payload"]
    places = [
        path for path in numbers(record) if path[0] in ("ledgers", "energy_uj", "profile", "held_back_ms")
    ]
    if bundle.PUBLISHED in files:  # what a report rests on: its cells and its sums
        places = [path for path in places if path[0] != "profile" or path[-1] in (3, 4)]
        places = [path for path in places if "forecast_saved_ug" not in path]
        places = [path for path in places if path[-1] not in (6, 7)]
    change(record, chance.choice(places), chance)
    files[bundle.CHAIN] = b"".join(canonical(row) + b"\n" for row in (head, *rows))
    if bundle.RECEIPT in files:
        files[bundle.RECEIPT] = canonical(record)


def owner_signs(files: Files, chance: random.Random, other: Files) -> None:
    """A claim that does not follow from its own evidence, signed by the owner of the key."""
    rewrite(files, chance, other)


OUTSIDE: list[Mutation] = [edit, digit, delete, reorder, truncate, swap, duplicate]


@pytest.mark.parametrize("mutation", OUTSIDE, ids=lambda mutation: mutation.__name__)
def test_change_from_outside_is_found(mutation: Mutation, capsys: pytest.CaptureFixture[str]) -> None:
    caught = _caught(mutation, None)
    _count(capsys, mutation.__name__, caught)


def test_bundle_that_was_signed_with_another_key_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    _count(capsys, "re-sign with another key", _caught(resign, None))


def test_account_that_does_not_follow_from_its_evidence_is_found_though_its_owner_signed_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _count(capsys, "owner signs a changed account", _caught(owner_signs, made(0)[1]))


def test_honest_bundle_is_never_blamed(capsys: pytest.CaptureFixture[str]) -> None:
    checked = seed = 0
    while checked < EACH:
        with TemporaryDirectory() as folder:
            today = day(Path(folder) / "day", 1000 + seed, jobs=2 if EACH < 100 else 6, reports=4)
        for name, content in today.bundles.items():
            assert found(content, today) == [], f"seed {1000 + seed}, {name}"
            checked += 1
        seed += 1
    _count(capsys, "honest", checked)


def _caught(mutation: Mutation, key: SigningKey | None) -> int:
    """Mutates so many bundles; every one must be found. With a key its owner signs them anew."""
    today, _ = made(0)
    names = sorted(today.bundles)
    for number in range(EACH):
        chance = random.Random(f"{mutation.__name__} {number}")
        name = names[number % len(names)]
        files = unzipped(today.bundles[name])
        before = dict(files)
        other = unzipped(today.bundles[chance.choice([each for each in names if each != name])])
        mutation(files, chance, other)
        if key is not None:
            signed_by(key, files, chain=True)
        assert files != before
        assert found(packed(files), today), f"{mutation.__name__} {number} of {name} was not found"
    return EACH


def _count(capsys: pytest.CaptureFixture[str], what: str, count: int) -> None:
    if EACH >= 100:
        with capsys.disabled():
            print(f"\n{what}: {count} of {count}")
