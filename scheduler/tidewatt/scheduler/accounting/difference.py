"""Savings in words instead of signs, so that nobody has to know which way one counts."""

from tidewatt.scheduler.accounting.quantity import mass

SAME = "no difference"


def less(saved_g: float) -> str:
    """For example `82.2 mg less`; of a negative saving `504 µg more`."""
    return f"{mass(abs(saved_g))} {'less' if saved_g > 0 else 'more'}" if saved_g else SAME


def less_than(saved_g: float, other: str) -> str:
    """For example `82.2 mg less than starting at once`, `the same as starting at once`."""
    return f"{less(saved_g)} than {other}" if saved_g else f"the same as {other}"


def less_between(low_g: float, high_g: float) -> str:
    """Two savings as a range, for example `80.6 mg to 83.8 mg less`, `1.00 g more to 3.00 g less`."""
    if low_g * high_g <= 0:
        return f"{less(low_g)} to {less(high_g)}"
    near, far = sorted((low_g, high_g), key=abs)
    return f"{mass(abs(near))} to {less(far)}"


def named(signal: str, saved_g: float) -> str:
    """A saving by the name of its signal: emissions avoided by the marginal one, else a changed footprint."""
    if signal != "marginal":
        return f"location-based footprint {less(saved_g) if saved_g else 'unchanged'}"
    if saved_g > 0:
        return f"estimated avoided emissions {mass(saved_g)}"
    return f"no avoided emissions: an estimated {less(saved_g)}" if saved_g else "no avoided emissions"


def share(saved_g: float, baseline_g: float | None) -> str:
    """How large it is beside its baseline: `65.0 % of the draw above idle`; "" of nothing."""
    return f"{100 * abs(saved_g) / baseline_g:.1f} % of the draw above idle" if baseline_g and saved_g else ""
