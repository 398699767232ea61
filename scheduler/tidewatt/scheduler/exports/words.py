"""Words that exports have in common."""

from collections.abc import Iterable

from tidewatt.forecasting.zones import keyed
from tidewatt.scheduler.exports.facts import Facts
from tidewatt.scheduler.exports.fixed_point import fixed


def few(words: Iterable[str], most: int) -> str:
    """Each word once, the first `most` of them, and how many more there are; empty ones are left out."""
    found = [word for word in dict.fromkeys(words) if word]
    more = f"; and {len(found) - most} more" if len(found) > most else ""
    return "; ".join(found[:most]) + more


def zones(receipts: Iterable[Facts]) -> list[str]:
    """Zones by name: "Germany (DE)"; those of the marginal signal where the average one has none."""
    keys = dict.fromkeys(key for each in receipts for key in each.zones("average") or each.zones("marginal"))
    return [key if (zone := keyed(key)) is None else f"{zone.name} ({key})" for key in keys]


def pues(receipts: Iterable[Facts]) -> list[str]:
    """Each PUE with its source: "1.2 (assumed)"."""
    return list(
        dict.fromkeys(f"{fixed(each.account.pue, 4)} ({each.account.pue_source})" for each in receipts)
    )
