"""Which rule decides where a job may run: residency of data first, then the first rule that fits."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from tidewatt.scheduler.policies.rule import Barrier, Facts, Rule, Spot, Verdict, Word

RESIDENCY = "residency of data"
TRANSFER = "transfer of data"
ANY = "*"


def verdicts(
    facts: Facts, spots: Sequence[Spot], rules: Sequence[Rule], barriers: Sequence[Barrier] = ()
) -> tuple[Verdict, ...]:
    """A verdict for each region, in their order.

    A job's labelled data may be worked on only where all of them are listed; that is looked at where any
    region lists any. Where no rule fits, a region is allowed.
    """
    residency = any(spot.data for spot in spots)
    return tuple(_verdict(facts, spot, rules, barriers, residency) for spot in spots)


def fits(rule: Rule, facts: Facts, region: str) -> bool:
    """True where the rule is about this job in this region."""
    return (
        _any(rule.regions, (region,))
        and _any(rule.users, (facts.user,))
        and _any(rule.groups, facts.groups)
        and _any(rule.projects, (facts.project,))
        and _any(rule.labels, _spellings(facts))
    )


def unreached(rules: Sequence[Rule]) -> list[tuple[Rule, Rule]]:
    """Rules that can never decide, each with the earlier one that fits all that it fits."""
    found = []
    rules = [rule for rule in rules if rule.word is not None]
    for place, rule in enumerate(rules):
        first = next((earlier for earlier in rules[:place] if _covers(earlier, rule)), None)
        if first is not None:
            found.append((rule, first))
    return found


def _covers(wide: Rule, narrow: Rule) -> bool:
    """True where whatever fits `narrow` surely fits `wide`."""
    fields = ("users", "groups", "projects", "labels", "regions")
    return all(
        not getattr(wide, name)
        or (bool(getattr(narrow, name)) and set(getattr(narrow, name)) <= set(getattr(wide, name)))
        for name in fields
    )


def _verdict(
    facts: Facts, spot: Spot, rules: Sequence[Rule], barriers: Sequence[Barrier], residency: bool
) -> Verdict:
    missing = [each for each in facts.data if not (spot.data and _any(spot.data, (each,)))]
    if residency and missing:
        listed = ", ".join(spot.data) or "none"
        because = f"its data {', '.join(missing)} may not be worked on there (data: {listed})"
        return Verdict(spot.name, Word.FORBID, RESIDENCY, spot.place, because)
    if wall := _wall(facts, spot, barriers):
        because = f"data do not go from {facts.brings_data_from} to {spot.name}"
        return Verdict(spot.name, Word.FORBID, TRANSFER, wall.place, because)
    rule = next((each for each in rules if each.word is not None and fits(each, facts, spot.name)), None)
    if rule is None or rule.word is None:
        return Verdict(spot.name, Word.ALLOW)
    return Verdict(spot.name, rule.word, rule.name, rule.place, rule.because)


def _wall(facts: Facts, spot: Spot, barriers: Sequence[Barrier]) -> Barrier | None:
    origin = facts.brings_data_from
    if not origin or origin == spot.name:
        return None
    for each in barriers:
        if each.source in (ANY, origin) and each.target in (ANY, spot.name):
            return each
    return None


def _any(patterns: Sequence[str], words: Iterable[str]) -> bool:
    """True where one of the words fits one of the patterns, or there are none."""
    return not patterns or any(fnmatchcase(word, pattern) for word in words for pattern in patterns)


def _spellings(facts: Facts) -> tuple[str, ...]:
    """Each label as its key alone, and with its value."""
    return (*facts.labels, *(f"{key}={value}" for key, value in facts.labels.items()))
