"""Gives commands the flags that several of them share: each field of a Wish or an Order is one."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.pausing_options import FLAGS as PAUSING
from tidewatt.scheduler.cli.wish import Wish


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Flags that are of one job alone and have no defaults elsewhere."""

    name: str | None = None
    output: str | None = None
    error: str | None = None
    chdir: str | None = None
    after: list[str] | None = None
    array: str | None = None
    hold: bool = False
    late: bool = False
    over_budget: bool = False


_WISH: dict[str, Any] = {
    "finish_by": given.FinishBy,
    "start_by": given.StartBy,
    "duration": given.Duration,
    "time": given.TimeLimit,
    "gpus": given.Gpus,
    "gpu_kind": given.GpuKinds,
    "cpus": given.Cpus,
    "mem": given.Memory,
    "data": given.Data,
    "priority": given.Priority,
    "retries": given.Retries,
    "project": given.Project,
    "label": given.Labels,
    "env": given.Env,
    "no_env": given.NoEnv,
    "region": given.Regions,
    "exclude_region": given.ExcludeRegions,
    "snapshot": given.Snapshot,
    "notify": given.Notify,
    **PAUSING,
}
_ORDER: dict[str, Any] = {
    "after": given.After,
    "array": given.Array,
    "name": given.Name,
    "output": given.Output,
    "error": given.ErrorOutput,
    "chdir": given.Chdir,
    "hold": given.Hold,
    "late": given.Late,
    "over_budget": given.OverBudget,
}
_REFUSED: dict[str, Any] = {"deadline": given.Deadline, "begin": given.Begin}  # by their own callbacks
_FALSE = frozenset({"no_env", "hold", "late", "over_budget"})

WHERE_AND_WHEN = frozenset(
    {"finish_by", "start_by", "duration", "time", "gpus", "gpu_kind", "cpus", "mem", "data", "priority"}
    | {"region", "exclude_region", "project", "label", "after", "late", *PAUSING}
)  # what a decision without a job depends on
OF_ONE_JOB = (frozenset(_WISH) | frozenset(_ORDER)) - {"array", "hold"}  # for who waits for it


def flagged(only: Collection[str] | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Spells a command's `wish: Wish` and `order: Order` out as flags, those of `only` or all."""

    def over(function: Callable[..., Any]) -> Callable[..., Any]:
        own = signature(function).parameters
        wishes, orders = _chosen(_WISH, only), _chosen(_ORDER, only)

        @wraps(function)
        def command(**values: Any) -> Any:
            for name in _REFUSED:
                values.pop(name, None)
            told = {name: values.pop(name) for name in wishes}
            wish = Wish(**{name: value or None if name in _FALSE else value for name, value in told.items()})
            order = Order(**{name: values.pop(name) for name in orders})
            given_to = {"wish": wish, "order": order}
            return function(**{name: given_to[name] if name in given_to else values[name] for name in own})

        spelt: list[Parameter] = []
        for parameter in own.values():
            match parameter.name:
                case "wish":
                    spelt += [_flag(name, wishes[name]) for name in wishes]
                case "order":
                    spelt += [_flag(name, orders[name]) for name in orders]
                    spelt += [_flag(name, each) for name, each in _REFUSED.items()]
                case _:
                    spelt.append(parameter.replace(kind=Parameter.KEYWORD_ONLY))
        command.__signature__ = Signature(spelt)  # type: ignore[attr-defined] # typer asks for it
        command.__annotations__ = {each.name: each.annotation for each in spelt}
        return command

    return over


def _chosen(table: dict[str, Any], only: Collection[str] | None) -> dict[str, Any]:
    return {name: each for name, each in table.items() if only is None or name in only}


def _flag(name: str, annotation: Any) -> Parameter:
    default = False if name in _FALSE else None
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
