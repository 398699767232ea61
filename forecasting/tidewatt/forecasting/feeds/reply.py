"""What a service answered, bounded and without credentials; how little of it is believed."""

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import NoReturn

from tidewatt.forecasting.feeds.feed import FeedError
from tidewatt.forecasting.feeds.secret import Secret, scrub

MIB = 2**20
EXCERPT = 200
LONGEST_PAUSE_S = 86_400


@dataclass(frozen=True, slots=True)
class Reply:
    """What a service answered: a status below 500 other than 429. `excerpt` of it may be shown."""

    source: str
    status: int
    headers: Mapping[str, str] = field(repr=False)  # names in lower case
    body: bytes = field(repr=False)  # may hold a token
    excerpt: str = field(default="", repr=False)  # the beginning of the body on one line, without credentials

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8-sig", errors="replace")

    @property
    def not_modified(self) -> bool:
        """True where nothing has changed since the etag or date that was sent; there is no body then."""
        return self.status == 304

    @property
    def etag(self) -> str:
        """What to send next time, so that an unchanged reply need not be sent again; "" for none."""
        return self.headers.get("etag", "")

    @property
    def last_modified(self) -> str:
        """When the service says this changed last, in its own words; "" where it says nothing."""
        return self.headers.get("last-modified", "")

    def json(self) -> object:
        """The body as JSON, in which all numbers are finite.

        Raises:
            FeedError: it is not JSON (transient: pages of errors come and go).
        """
        try:
            return json.loads(self.body.decode("utf-8-sig"), parse_constant=_refuse, parse_float=_finite)
        except (ValueError, RecursionError):
            pass
        shown = f': "{self.excerpt}"' if self.excerpt else ", but nothing"
        raise FeedError(f"{self.source} answered {self.status} with no JSON{shown}", transient=True)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one try brought no reply; `quick` says that another try at once may help."""

    text: str
    quick: bool = False
    transient: bool = True
    retry_after_s: float | None = None
    too_many: bool = False


def unpacked(chunks: Iterable[bytes], coding: str, largest_bytes: int) -> bytes | Failure:
    """A body from its chunks as sent, unpacked (gzip, deflate) no further than the cap."""
    if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        return Failure("sent its reply in a coding that was not asked for")
    unpacker = None if coding in ("", "identity") else zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    body, packed = bytearray(), b""
    for chunk in chunks:
        if unpacker is None:
            body += chunk
        else:
            try:
                body += unpacker.decompress(chunk, largest_bytes + 1 - len(body))
            except zlib.error:
                return Failure("sent a packed reply that cannot be unpacked")
            packed = unpacker.unconsumed_tail
        if packed or len(body) > largest_bytes:
            return Failure(f"sent more than {largest_bytes / MIB:.3g} MiB: nothing of it is used")
    if unpacker is not None and body and not unpacker.eof:
        return Failure("sent a packed reply that ends early", quick=True)
    return bytes(body)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that a reply asks to wait, from seconds or a date (RFC 9110, 10.2.3); None where it does not.

    A date is compared with the service's own, so that our clock need not be right; a day at most.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:9]), LONGEST_PAUSE_S))
    try:
        until = parsedate_to_datetime(text)
        sent = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
        return min(max((until - sent).total_seconds(), 0.0), float(LONGEST_PAUSE_S))
    except (ValueError, TypeError):
        return None


def excerpt(body: bytes, secrets: Iterable[Secret]) -> str:
    """The beginning of a body on one line, fit to be shown."""
    text = scrub(body[: 8 * EXCERPT].decode("utf-8", errors="replace"), secrets)
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= EXCERPT else line[: EXCERPT - 1] + "…"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError("a number without end is no number")
    return value
