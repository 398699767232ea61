"""Numbers as exports write them."""

from decimal import Context, Decimal


def fixed(value: float | int | None, digits: int = 12) -> str:
    """A number in fixed point with that many significant digits, "" where it is not known.

    Readers of these formats take `1.5e-05` for 1.5, so there are no powers of ten; and what is not zero is
    not written as zero, however small. Raises ValueError for what is not finite.
    """
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    exact = Decimal(repr(value))
    if not exact.is_finite():
        raise ValueError(f"{value} is no quantity")
    if not exact:
        return "0"
    text = f"{Context(prec=digits).plus(exact):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
