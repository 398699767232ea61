"""How the operator's rules have a job planned: of each thing the first rule that fits and says it decides."""

from collections.abc import Iterable, Sequence
from dataclasses import fields

from tidewatt.scheduler.plan import Weights
from tidewatt.scheduler.policies.rule import Facts, Rule, Wishes
from tidewatt.scheduler.policies.verdicts import fits

WEIGHTS = tuple(each.name for each in fields(Weights))


def wishes(facts: Facts, regions: Sequence[str], rules: Sequence[Rule], project: Rule | None) -> Wishes:
    """The wishes for a job; `project` holds those of its project, which come after all rules."""
    fitting = [rule for rule in rules if not rule.regions and fits(rule, facts, "")]
    stating = [*fitting, *([project] if project is not None else [])]
    told: list[str] = []
    shift = _first(stating, "shift", told)
    weights = {name: _first(stating, name, told) for name in WEIGHTS}
    ceilings = []
    for region in regions:
        own = next(
            (each for each in rules if each.max_price_per_kwh is not None and fits(each, facts, region)), None
        )
        if own is not None and own.max_price_per_kwh is not None:
            ceilings.append((region, own.max_price_per_kwh))
            told.append(_told(own, f"max_price_per_kwh = {own.max_price_per_kwh:g} in {region}"))
    own_weights = Weights(**weights) if any(each is not None for each in weights.values()) else None
    return Wishes(shift is not False, own_weights, tuple(ceilings), tuple(told))


def _first(rules: Iterable[Rule], name: str, told: list[str]) -> float | None:
    for rule in rules:
        value: float | None = rule.shift if name == "shift" else getattr(rule.weights, name)
        if value is not None:
            words = "shifted" if value else "never shifted"
            told.append(_told(rule, words if name == "shift" else f"{name} = {value:g}"))
            return value
    return None


def _told(rule: Rule, said: str) -> str:
    place = f" ({rule.place})" if rule.place else ""
    because = f": {rule.because}" if rule.because else ""
    return f"{said}, by {rule.name}{place}{because}"
