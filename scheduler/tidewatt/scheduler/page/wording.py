"""Values as the screens write them: units always, local times as `<time>`, nothing unknown as zero."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from markupsafe import Markup, escape

from tidewatt.scheduler.accounting.quantity import counted, energy, kwh, mass
from tidewatt.scheduler.happenings import happened
from tidewatt.scheduler.plan_schema import PlanView
from tidewatt.scheduler.schemas import JobView
from tidewatt.scheduler.when import short

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)", re.S)
_UNKNOWN = Markup('<span class="unknown">not known</span>')


def moment(at: datetime | None, form: str = "day") -> Markup:
    """A time in the server's zone, which the page's script writes in the browser's own."""
    if at is None:
        return _UNKNOWN
    local = at.astimezone()
    text = f"{local:%H:%M:%S %Z}" if form == "clock" else f"{local:%a %-d %b %H:%M %Z}"
    return Markup('<time datetime="{}" data-form="{}">{}</time>').format(
        at.astimezone(UTC).isoformat(timespec="seconds"), form, text
    )


def lasting(seconds: float | None) -> str:
    """A duration in words."""
    if seconds is None:
        return "not known"
    sign = "-" if seconds < 0 else ""
    return sign + (
        short(timedelta(seconds=round(abs(seconds)))) if abs(seconds) >= 1 else f"{abs(seconds):.1g} s"
    )


def intensity(value: float | None) -> Any:
    """Grams of CO2 for each kilowatt-hour."""
    return _UNKNOWN if value is None else f"{value:,.0f} g/kWh"


def watts(value: float | None) -> Any:
    """Power."""
    if value is None:
        return _UNKNOWN
    return (
        f"{value / 1000:.2f} kW"
        if abs(value) >= 1000
        else f"{value:.0f} W"
        if value >= 10
        else f"{value:.1f} W"
    )


def saving_words(plan: PlanView) -> str:
    """What a plan expects against starting at once: less, more, or nothing said."""
    if plan.expected_g is None or plan.immediate_g is None:
        return ""
    saved = plan.immediate_g - plan.expected_g
    share = f" ({saved / plan.immediate_g:.0%})".replace("%", " %") if plan.immediate_g > 0 else ""
    if abs(saved) < 1e-9:
        return "no difference to starting at once"
    if saved > 0:
        return f"{mass(saved)} less{share} than starting at once"
    return f"{mass(-saved)} more{share.replace('-', '')} than starting at once"


def log_text(text: str) -> str:
    """Output without the codes that steer terminals; what stays unprintable is written out."""
    plain = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    lines = (line.rsplit("\r", 1)[-1] for line in plain.split("\n"))
    return "\n".join("".join(c if c.isprintable() or c == "\t" else "�" for c in line) for line in lines)


def shown(value: object) -> object:
    """What goes into a page: letters that would steer how others are shown are written out."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    if value.isprintable():
        return value
    return "".join(
        each
        if each.isprintable() or each in "\n\t"
        else each.encode("unicode_escape", "backslashreplace").decode()
        for each in value
    )


def coded(text: str) -> Markup:
    """A sentence whose `commands` are set as such."""
    parts = str(shown(text)).split("`")
    if len(parts) % 2 == 0:  # one is left over
        return escape(shown(text))
    code = Markup("<code>{}</code>")
    return Markup("").join(code.format(part) if at % 2 else escape(part) for at, part in enumerate(parts))


def command(argv: Sequence[str]) -> str:
    """A command as one would type it."""
    import shlex

    return shlex.join(argv)


def title(job: JobView) -> str:
    """What a job is called by people."""
    return job.name or command(job.argv)[:80]


FILTERS = {
    "moment": moment,
    "lasting": lasting,
    "intensity": intensity,
    "watts": watts,
    "mass": mass,
    "kwh": kwh,
    "energy": energy,
    "counted": counted,
    "saving_words": saving_words,
    "command": command,
    "title": title,
    "log_text": log_text,
    "coded": coded,
    "happened": happened,
    "escape": escape,
}
