"""Where the store of a state folder is: a file in it, or a database of a PostgreSQL server."""

import os
from pathlib import Path

import sqlalchemy as sa

from tidewatt.backends.durable import sync_folder
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.store.database import StoreError

Address = Path | sa.URL


def parsed(url: str) -> sa.URL:
    """A PostgreSQL database by its URL.

    Raises:
        StoreError: for a URL that names none, or holds a password, which others could read.
    """
    try:
        found = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise StoreError(f"{url!r} is no URL: write for example {_EXAMPLE}") from None
    if found.get_backend_name() != "postgresql":
        raise StoreError(
            f"{found.get_backend_name()} is no database that we know: write for example {_EXAMPLE}"
        )
    if found.password is not None:
        raise StoreError(
            "the database's URL holds a password, which others could read: take it out, and put it into"
            " ~/.pgpass or PGPASSWORD, where PostgreSQL looks for it"
        )
    if not found.database:
        raise StoreError(f"the URL names no database: write for example {_EXAMPLE}")
    return found.set(drivername="postgresql+psycopg")


def address(place: Paths) -> Address:
    """Where the store of a state folder is, as it was settled when the folder was first used."""
    file = _file(place)
    return parsed(file.read_text(encoding="utf-8").strip()) if file.exists() else place.database


def settled(place: Paths, configured: str) -> Address:
    """The address, which a configuration may choose once: `database` = "" for a file.

    Raises:
        StoreError: where the configuration says another one than where the jobs are.
    """
    known = _file(place).exists() or place.database.exists()
    wanted = parsed(configured) if configured else None
    found = address(place)
    if wanted is None or wanted == found:
        return found
    if known:
        raise StoreError(
            f"the jobs of {place.home} are in {told(found)}, but database says {told(wanted)}:"
            f" `tidewatt move-store {told(wanted)}` moves them there"
        )
    settle(place, wanted)
    return wanted


def settle(place: Paths, where: Address) -> None:
    """Makes this the address from now on."""
    file = _file(place)
    if isinstance(where, Path):
        file.unlink(missing_ok=True)
        sync_folder(place.home)
        return
    draft = file.with_suffix(".new")
    with draft.open("w", encoding="utf-8") as new:
        new.write(f"{told(where)}\n")
        new.flush()
        os.fsync(new.fileno())
    draft.replace(file)
    sync_folder(place.home)  # before a power cut can part the folder from its jobs


def told(where: Address) -> str:
    """For people and files."""
    return str(where) if isinstance(where, Path) else where.set(drivername="postgresql").render_as_string()


def _file(place: Paths) -> Path:
    return place.home / "store.url"


_EXAMPLE = "postgresql://tidewatt@db.example.org/tidewatt"
