"""`policy try`: what another configuration would have changed for the jobs that were submitted before."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

from tidewatt.scheduler.accounting.quantity import counted, mass
from tidewatt.scheduler.cli.session import daemon
from tidewatt.scheduler.cli.text import folded, say, say_json, shown, table
from tidewatt.scheduler.client import Client, Json
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.when import parse_duration

PATIENT_S = 1860.0  # a replay of many jobs takes longer than other answers
MOST_SHOWN = 20


def tried(what: str | None, since: str, as_json: bool) -> None:
    """Has the daemon replay its history under a file, and shows what would be otherwise."""
    if what is None:
        raise BadInput("name the file to try: tidewatt policy try FILE --since 30d")
    path = Path(what)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"the configuration file {path} cannot be read: {error}") from None
    asked = {
        "text": text,
        "name": what,
        "since_s": parse_duration(since, "--since").total_seconds(),
        "files": files_of(text, path),
    }
    found = Client(daemon().path, PATIENT_S).try_policy(asked)
    if as_json:
        say_json(found)
        return
    for line in lines(found):
        say(line)


def files_of(text: str, path: Path) -> dict[str, str]:
    """The files of prices that the configuration names, by the names that it has for them.

    Raises:
        BadInput: for one that cannot be read.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"the configuration file {path} is not TOML: {error}") from None
    prices = values.get("price")
    tables = [each for each in prices if isinstance(each, dict)] if isinstance(prices, list) else []
    found: dict[str, str] = {}
    for name in [each["file"] for each in tables if isinstance(each.get("file"), str)]:
        own = Path(name).expanduser()
        try:
            found[str(own)] = (path.absolute().parent / own).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"the prices {name} cannot be read: {error}") from None
    return found


def lines(found: Json) -> Iterator[str]:
    """What would be otherwise, first in sums, then by person and job, then what cannot be known."""
    since, until = (found[key][:16].replace("T", " ") for key in ("since", "until"))
    yield f"{counted(found['jobs'], 'job')} submitted {since} to {until} UTC, replayed under {found['name']}"
    yield f"it differs from what is in force in: {', '.join(found['differs']) or 'nothing'}"
    yield ""
    yield from _sums(found)
    yield ""
    yield from _sentences(found)
    yield from _waits(found)
    yield from _changes(found)
    yield ""
    yield from folded(_unknowable(found), "  ")


def _sums(found: Json) -> Iterator[str]:
    now, then = found["in_force"], found["tried"]
    rows: list[tuple[str, ...]] = []
    for signal, grams in found["saved_g"].items():
        emitted = (mass(each["emissions_g"][signal]) for each in (now, then))
        rows.append((f"emitted, {signal}", *emitted, saved(grams)))
    if found["saved_cost"] is not None:
        unit = found["currency"] or "(currency not named)"
        cost = (f"{each['cost']:.2f} {unit}" for each in (now, then))
        rows.append(("electricity", *cost, f"{-found['saved_cost']:+.2f}"))
    counts = {"late": "late", "refused": "refused", "run away from home": "moved", "pauses": "pauses"}
    for name, key in counts.items():
        rows.append((name, str(now[key]), str(then[key]), f"{then[key] - now[key]:+d}"))
    for name, key in {"mean wait": "mean_wait_h", "median wait": "median_wait_h"}.items():
        rows.append((name, f"{now[key]:.1f} h", f"{then[key]:.1f} h", f"{then[key] - now[key]:+.1f} h"))
    yield from table(("", "IN FORCE", "TRIED", "CHANGE"), rows, right=(1, 2, 3))


def saved(grams: float) -> str:
    """Grams saved in words; lost where negative."""
    return f"{mass(abs(grams))} {'saved' if grams >= 0 else 'more'}"


def _sentences(found: Json) -> Iterator[str]:
    moved = f"{counted(found['elsewhere'], 'job')} would have run elsewhere"
    yield f"{moved}, {found['later']} later and {found['sooner']} sooner"
    yield (
        f"late only as tried: {found['late_only_tried']}, only as in force: {found['late_only_in_force']};"
        f" refused only as tried: {found['refused_only_tried']},"
        f" only as in force: {found['refused_only_in_force']}"
    )
    for each in found["left_out"]:
        yield f"not replayed: {each['jobs']} that {each['why']}"
    if found["unobserved"] > 0.0005:
        yield (
            f"{found['unobserved']:.1%} of the GPU time comes after the last observation: it is counted at"
            " the mean of the last week"
        )


def _waits(found: Json) -> Iterator[str]:
    for title, key in (("USER", "by_user"), ("PROJECT", "by_project")):
        rows = [
            (
                shown(each["name"]) or "(none)",
                str(each["jobs"]),
                f"{each['before_h']:.1f} h",
                f"{each['after_h']:.1f} h",
                f"{each['longest_before_h']:.1f} h",
                f"{each['longest_after_h']:.1f} h",
            )
            for each in found[key]
        ]
        if rows:
            yield ""
            header = (title, "JOBS", "MEAN WAIT NOW", "THEN", "LONGEST NOW", "THEN")
            yield from table(header, rows, right=range(1, 6))


def _changes(found: Json) -> Iterator[str]:
    rows = [
        (
            each["job"],
            shown(each["user"]),
            _place(each["region_before"], each["start_before"], each["late_before"]),
            _place(each["region_after"], each["start_after"], each["late_after"]),
            "; ".join(f"{saved(grams)} ({signal})" for signal, grams in each["saved_g"].items())
            or shown(each["refused"]),
        )
        for each in found["changes"][:MOST_SHOWN]
    ]
    if rows:
        yield ""
        yield from table(("JOB", "USER", "IN FORCE", "TRIED", "THAT MEANS"), rows)
        more = found["elsewhere"] + found["later"] + found["sooner"] - len(rows)
        if more > 0 and len(found["changes"]) > MOST_SHOWN:
            yield f"the {MOST_SHOWN} that change most; --json has up to 100"


def _place(region: str | None, start: str | None, late: bool) -> str:
    if region is None or start is None:
        return "refused"
    return f"{region} {start[5:16].replace('T', ' ')}{' LATE' if late else ''}"


def _unknowable(found: Json) -> Iterator[str]:
    yield "What a replay cannot know:"
    for sentence in found["unknowable"]:
        yield f"- {sentence}"
