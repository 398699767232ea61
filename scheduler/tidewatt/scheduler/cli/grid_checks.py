"""The zone, the sources and what would decide, found out by asking: services with a real call."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tidewatt.scheduler.cli.checks import Finding, Verdict
from tidewatt.scheduler.cli.text import lasting
from tidewatt.scheduler.config import Settings, grid, secrets, source_options, zones_of
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.paths import Paths

REMARKED_FOR = timedelta(days=1)
SHOWN_REMARKS = 5

if TYPE_CHECKING:
    from tidewatt.forecasting.feeds.feed import Access, Feed
    from tidewatt.forecasting.kind import Kind
    from tidewatt.forecasting.provider import Provider


def findings(settings: Settings, place: Paths, now: datetime) -> Iterator[Finding]:
    """The zone, every source as of now, and what would decide."""
    if not settings.zone and not settings.regions:
        yield Finding(
            Verdict.WARN,
            "zone",
            "none is configured, and none is guessed: energy is shown, carbon is not",
            "find yours with `tidewatt zones TEXT`, then set zone in the configuration, or use --zone",
        )
    zones = zones_of(settings)
    for number, table in enumerate(settings.sources, start=1):
        subject = f"source {number} ({table.type})"
        yield from _source(subject, source_options(table), settings, zones, now)
    yield from _remarks(place, zones, now)
    for zone in zones:
        yield _outlook(settings, place, zone, now)


def _source(
    subject: str, options: dict[str, object], settings: Settings, zones: tuple[str, ...], now: datetime
) -> Iterator[Finding]:
    from tidewatt.forecasting.errors import ForecastError
    from tidewatt.forecasting.sources import feed, provider

    try:
        service = feed(options, secrets(settings))
        if service is not None:
            yield from _service(subject, service, zones, now)
        else:
            yield from _recording(subject, provider(options), zones, now)
    except ForecastError as error:
        yield Finding(
            Verdict.FAIL, subject, str(error), "" if error.transient else "correct it, or take the source out"
        )


def _service(subject: str, service: "Feed", zones: tuple[str, ...], now: datetime) -> Iterator[Finding]:
    """What the key may do, zone by zone: a real call for each."""
    from tidewatt.forecasting.feeds.feed import FeedError

    covered = [zone for zone in zones if service.quantities(zone)]
    if not covered:
        yield _nothing_for(subject, service.name, zones)
    for number, zone in enumerate(covered, start=1):
        try:
            yield _accessible(subject, service.name, service.access(zone, now))
        except FeedError as error:
            left = ", ".join(covered[number:]) if error.transient else ""
            advice = "" if error.transient else "the next source of the chain answers until this is mended"
            found = f"{zone}: {error}" + (f"; it was not asked for {left} after that" if left else "")
            yield Finding(Verdict.WARN, subject, found, advice)
            if left:  # it would keep us waiting, or asked for a pause
                return


def _accessible(subject: str, name: str, access: "Access") -> Finding:
    told = f"{name}, {access.zone}: may read {', '.join(access.may) or 'nothing'}"
    if access.may_not:
        told += f", but not {', '.join(access.may_not)}"
    verdict = Verdict.OK if access.may and not access.may_not else Verdict.WARN
    advice = "" if access.may else "the next source of the chain answers instead"
    return Finding(verdict, subject, f"{told} ({access.detail})" if access.detail else told, advice)


def _recording(subject: str, source: "Provider", zones: tuple[str, ...], now: datetime) -> Iterator[Finding]:
    has = [(zone, kind) for zone in zones for kind in source.kinds(zone)]
    if not has:
        yield _nothing_for(subject, source.name, zones)
    for zone, kind in has:
        yield _use(subject, source, zone, kind, now)


def _remarks(place: Paths, zones: tuple[str, ...], now: datetime) -> Iterator[Finding]:
    """What was refused or repaired of what services told, the newest first."""
    from tidewatt.forecasting.archive import Archive
    from tidewatt.forecasting.errors import ForecastError

    if not place.archive.exists():
        return
    try:
        with Archive(place.archive, read_only=True) as archive:
            remarks = archive.remarks(now - REMARKED_FOR)
    except ForecastError as error:
        yield Finding(Verdict.WARN, "archive", str(error))
        return
    here = (remark for remark in remarks if remark.zone in zones)
    newest = sorted(here, key=lambda remark: remark.last, reverse=True)
    for remark in newest[:SHOWN_REMARKS]:
        ago = lasting((now - remark.last).total_seconds())
        often = "" if remark.times == 1 else f", {remark.times} times"
        told = f"{remark.zone}: {remark.text} ({ago} ago{often})"
        yield Finding(Verdict.OK, f"remark on {remark.source}", told)
    if len(newest) > SHOWN_REMARKS:
        yield Finding(Verdict.OK, "remarks", f"{len(newest) - SHOWN_REMARKS} more of the last day")


def _nothing_for(subject: str, name: str, zones: tuple[str, ...]) -> Finding:
    wanted = ", ".join(zones) or "any zone: none is configured"
    return Finding(Verdict.WARN, subject, f"{name} has nothing for {wanted}", "check its zone names")


def _use(subject: str, source: "Provider", zone: str, kind: "Kind", now: datetime) -> Finding:
    forecast = source.forecast(zone, kind, now)
    seen = source.observations(zone, kind, now - timedelta(days=7), now, now).steps
    told = []
    if forecast is not None:
        told.append(f"forecast issued {lasting((now - forecast.issued_at).total_seconds())} ago")
    if len(seen.end_ms):
        told.append(f"observations until {lasting(now.timestamp() - int(seen.end_ms[-1]) / 1000)} ago")
    what = f"{source.name}, {zone} ({kind})"
    if told:
        return Finding(Verdict.OK, subject, f"{what}: {', '.join(told)}")
    return Finding(
        Verdict.WARN, subject, f"{what}: nothing of the last 7 days", "its data end too early: renew them"
    )


def _outlook(settings: Settings, place: Paths, zone: str, now: datetime) -> Finding:
    from tidewatt.forecasting.kind import Signal
    from tidewatt.forecasting.series import Rung

    subject = f"outlook {zone}"
    try:
        chain = grid(settings, place).chain
        outlook = chain.outlook(zone, Signal(settings.shown_signal), now, now + timedelta(days=1))
    except SchedulerError as error:
        return Finding(Verdict.FAIL, subject, str(error))
    if outlook is None:
        return Finding(
            Verdict.WARN, subject, "nothing is known: jobs start at once", "add a [[source]] for it"
        )
    parts = "; then ".join(dict.fromkeys(part.source for part in outlook.segments))
    told = f"{parts}. {outlook.note}".rstrip(" .")
    if settings.sources and outlook.segments[0].rung is Rung.PROFILE:
        advice = "" if place.archive.exists() else "services are asked regularly once the daemon runs"
        return Finding(Verdict.WARN, subject, f"{told}. No configured source has told anything yet", advice)
    return Finding(Verdict.WARN if outlook.note else Verdict.OK, subject, told)
