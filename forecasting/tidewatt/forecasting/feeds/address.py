"""Addresses with places to fill in: `{zone}`, `{start}`, `{end}`, `{now}`; or `{start:%Y-%m-%d}`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import SplitResult, quote, urlsplit

from tidewatt.forecasting.errors import ForecastError

PLACE = re.compile(r"\{(?P<name>[a-z]+)(?::(?P<form>[^{}]*))?\}")
ISO = "%Y-%m-%dT%H:%M:%SZ"
UNIX = {"unix_s": 1, "unix_ms": 1000}


@dataclass(frozen=True, slots=True)
class Address:
    """A template, checked: the host is fixed, and every place is known. Times are filled in as UTC."""

    template: str

    def filled(self, zone: str, times: Mapping[str, datetime]) -> str:
        """The address for a zone and times."""

        def fill(found: re.Match[str]) -> str:
            name, form = found["name"], found["form"] or ISO
            text = zone if name == "zone" else _written(times[name], form)
            return quote(text, safe=":-_.")

        return PLACE.sub(fill, self.template)


def address(template: str, known: tuple[str, ...], what: str) -> Address:
    """The address of a template that may use the places `known`.

    Raises:
        ForecastError: it is no https address (nor http on this machine), or a place is not known.
    """
    _split(template, what)
    for found in PLACE.finditer(template):
        _check(found["name"], found["form"], known, what)
    if "{" in PLACE.sub("", template) or "}" in PLACE.sub("", template):
        raise ForecastError(
            f"{what} has a brace that belongs to no place such as {{{known[0]}}}: {template!r}"
        )
    return Address(template)


def base(text: str, what: str) -> str:
    """The address that the paths of a service are added to, without the slash at its end.

    Raises:
        ForecastError: it is no https address (nor http on this machine), or has more than host and path.
    """
    _split(text, what)
    if any(mark in text for mark in "?#{} "):
        raise ForecastError(f"{what} must hold host and path alone, no query and no places to fill in")
    return text.rstrip("/")


def _split(text: str, what: str) -> SplitResult:
    """The parts of an address, refused where it may not be asked. What may hold a login is not shown."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    if "@" in parts.netloc:
        raise ForecastError(f"{what} must hold no login: credentials stand elsewhere")
    local = parts.scheme == "http" and host in ("localhost", "127.0.0.1", "::1")
    if not host or "{" in parts.netloc or not (parts.scheme == "https" or local):
        shown = text.partition("?")[0].rpartition("@")[2]
        raise ForecastError(f"{what} must begin with https:// and name a host, not {shown!r}")
    if not text.isprintable():
        raise ForecastError(f"{what} holds characters that no address has: write it on one line")
    return parts


def _check(name: str, form: str | None, known: tuple[str, ...], what: str) -> None:
    if name not in known:
        places = ", ".join(f"{{{each}}}" for each in known)
        raise ForecastError(f"{what} has an unknown place {{{name}}}; known are: {places}")
    if form is None or form in UNIX:
        return
    if name == "zone" or "%" not in form:
        raise ForecastError(
            f"{what}: {{{name}:{form}}} is no form of a time, such as {{start:%Y-%m-%dT%H:%MZ}}"
        )


def _written(moment: datetime, form: str) -> str:
    factor = UNIX.get(form)
    if factor is not None:
        return str(round(moment.timestamp() * factor))
    return moment.astimezone(UTC).strftime(form)
