"""What electricity cost, as people read it."""

from collections.abc import Iterator

from tidewatt.scheduler.cli.text import shown
from tidewatt.scheduler.client import Json

UNNAMED = "(currency not named)"


def cost_lines(found: Json, *, grouped: bool = False) -> Iterator[str]:
    """A line for each group that has a price or lacks one; nothing where nobody states any."""
    if not found["sources"]:
        return
    unit = found["currency"] or UNNAMED
    for each in found["groups"]:
        name = f" of {shown(each['name']) or '(none)'}" if grouped else ""
        if each["cost"] is None and not each["unpriced_kwh"]:
            continue
        said = "not known" if each["cost"] is None else f"{each['cost']:.4g} {unit}"
        yield f"electricity{name}: {said}{_of(each)}"
    yield f"prices: {'; '.join(shown(each) for each in found['sources'])}"


def _of(each: Json) -> str:
    parts = [f" for {each['priced_kwh']:.4g} kWh, PUE included"] if each["cost"] is not None else []
    if each["assumed_kwh"]:
        parts.append(f"{each['assumed_kwh']:.4g} of them at an assumed price, the mean of the week before")
    if each["unpriced_kwh"]:
        parts.append(f"{each['unpriced_kwh']:.4g} kWh have no price")
    if each["unmetered_jobs"]:
        parts.append(f"{each['unmetered_jobs']} without metered energy are not in it")
    return "; ".join(parts) if each["cost"] is not None else f"; {'; '.join(parts)}"
