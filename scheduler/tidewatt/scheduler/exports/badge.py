"""A badge for a README: what was emitted, and a saving only where there is one to be shown."""

from html import escape

from tidewatt.scheduler.accounting.quantity import mass
from tidewatt.scheduler.accounting.report_schema import Report, SignalTotal
from tidewatt.scheduler.accounting.report_words import STARTS

LABEL = "training CO₂"
LEFT, PLAIN, SOUND, UNSURE = "#3d4650", "#2f6f9f", "#1f6f54", "#7a5a00"  # white text: 4.5 to 1 at least
_HEIGHT, _PAD = 20, 7
_WIDE, _NARROW = frozenset("mwMWCGOQ@%—"), frozenset("ijltfr.,:;|!'()I1 ")


def svg(report: Report, signal: str = "") -> str:
    """The badge of a report's total, as SVG with its text as title and label.

    `signal` says whose emissions; without it the average signal's, else the marginal one's.
    """
    said, colour = statement(report, signal)
    left, right = _width(LABEL), _width(said)
    title = escape(f"{LABEL}: {said}")
    width = left + right
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{_HEIGHT}" role="img"'
        f' aria-label="{title}"><title>{title}</title>'
        f'<rect width="{width}" height="{_HEIGHT}" rx="3" fill="{colour}"/>'
        f'<path d="M3 0h{left - 3}v{_HEIGHT}H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="{LEFT}"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11">'
        f"{_text(LABEL, 0, left)}{_text(said, left, right)}</g></svg>\n"
    )


def statement(report: Report, signal: str = "") -> tuple[str, str]:
    """The badge's right half, and its colour: emissions, and what may be said of a saving."""
    total = _total(report, signal)
    if not report.total.jobs:
        return "no jobs yet", PLAIN
    if total is None:
        return "not known", PLAIN
    emitted = mass(total.emissions_g)
    saved = getattr(total, f"saved_{report.baseline}_g")
    baseline = getattr(total, f"{report.baseline}_g")
    if report.total.signals_disagree:
        return f"{emitted} | signals disagree", UNSURE
    if saved is None or not baseline:
        return emitted, PLAIN
    if saved < 0 and total.grade != "inconclusive":
        return f"{emitted} | {mass(-saved)} more than {STARTS[report.baseline]}", UNSURE
    if total.grade not in ("verified", "estimated"):
        return f"{emitted} | saving inconclusive", UNSURE
    colour = SOUND if total.grade == "verified" else PLAIN
    return f"{emitted} | {total.grade} saving {mass(saved)}", colour


def _total(report: Report, signal: str) -> SignalTotal | None:
    """The sums by one signal; none where there are several kinds of it, which have no common sum."""
    for wanted in [signal] if signal else ["average", "marginal"]:
        found = [each for each in report.total.signals if each.signal == wanted]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _width(text: str) -> int:
    """Pixels at 11 px of Verdana, rather too many than too few."""
    letters = sum(10 if each in _WIDE else 5 if each in _NARROW else 7.4 for each in text)
    return round(letters) + 2 * _PAD


def _text(text: str, left: int, width: int) -> str:
    length = width - 2 * _PAD
    return (
        f'<text x="{left + _PAD}" y="14" textLength="{length}" lengthAdjust="spacingAndGlyphs">'
        f"{escape(text)}</text>"
    )
