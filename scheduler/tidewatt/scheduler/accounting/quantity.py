"""Quantities as people read them; signs are kept, and what is not known is never shown as zero."""

from tidewatt.scheduler.accounting.units import J_PER_KWH

UNKNOWN = "not measured"

_MASS = ((1e6, "t"), (1e3, "kg"), (1.0, "g"), (1e-3, "mg"), (1e-6, "µg"))
_ENERGY = ((3.6e9, "MWh"), (3.6e6, "kWh"), (3.6e3, "Wh"), (1.0, "J"))


def mass(grams: float | None, *, sign: bool = False) -> str:
    """For example `1.24 kg`, `-7.1 mg`; with `sign`, `+1.24 kg`."""
    return _scaled(grams, _MASS, sign)


def energy(joules: float | None) -> str:
    """For example `1.24 kWh`, `50 J`."""
    return _scaled(joules, _ENERGY, False)


def kwh(value: float | None) -> str:
    """An amount in kWh as `energy` shows it."""
    return energy(None if value is None else value * J_PER_KWH)


def counted(number: int, thing: str) -> str:
    """For example `1 job`, `3 jobs`."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def least(share: float) -> str:
    """For example `94 %`, `<1 %`: rounded down, so that no share looks like enough that is not."""
    whole = int(100 * share + 1e-9)
    return f"{whole} %" if whole or share <= 0 else "<1 %"


def watt_hours(kwh: float, limit_kwh: float) -> str:
    """For example `370 Wh`, `0.0103 kWh`: in kWh, or in Wh where the limit is below one, never in joules."""
    value, unit = (kwh, "kWh") if limit_kwh >= 1 else (kwh * 1000, "Wh")
    if value and abs(value) < 1e-4:
        return f"{'-' if value < 0 else ''}<0.0001 {unit}"
    return f"{_digits(value) if abs(value) >= 10 else f'{value:.3g}'} {unit}"


def hours(value: float) -> str:
    """For example `26 h`, `1.5 h`, `12 min`, `5.4 s`."""
    if 0 < abs(value) < 1 / 60:
        return f"{value * 3600:.3g} s"
    if 0 < abs(value) < 1:
        return f"{value * 60:.3g} min"
    return f"{value:.1f} h"


def span(ms: int) -> str:
    """For example `4 h 55 min`, `5 min`, `40 s`."""
    if ms < 60_000:
        return f"{ms / 1000:.3g} s"
    whole, minutes = divmod(round(ms / 60_000), 60)
    return " ".join(part for part in (f"{whole} h" * bool(whole), f"{minutes} min" * bool(minutes)) if part)


def _scaled(value: float | None, units: tuple[tuple[float, str], ...], sign: bool) -> str:
    if value is None:
        return UNKNOWN
    plus = "+" if sign and value > 0 else ""
    if value == 0:
        return f"0 {dict(units)[1.0]}"
    size, unit = next(((size, unit) for size, unit in units if abs(value) >= size), units[-1])
    if (size, unit) == _MASS[-1] and abs(value) >= size:  # receipts are kept in whole micrograms
        return f"{plus}{value / size:.0f} {unit}"
    return f"{plus}{_digits(value / size)} {unit}"


def _digits(value: float) -> str:
    """Three significant digits, never in powers of ten."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
