"""What operators decided, in order: read from the ledger, with what held before and after each decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tidewatt.backends.clock import moment
from tidewatt.scheduler.daemon.region_board import DRAIN, SHIFTING
from tidewatt.scheduler.decision_schema import DecisionView
from tidewatt.scheduler.proof.purged import NOBODY
from tidewatt.scheduler.store import Store

DECIDED, REVOKED, RELOADED, STARTED = (
    "operator.decided",
    "operator.revoked",
    "policy.reloaded",
    "policy.started",
)
POLICY = "policy"
STANDING = (RELOADED, STARTED)
ONLY_TOLD = ("restored", "purged")  # in the history, but nothing that could be undone
KINDS = (DECIDED, REVOKED, *STANDING, *ONLY_TOLD)
_OURS = frozenset({"decision", "user", "undoes"})

Value = Mapping[str, Any] | None  # what holds by a name; None: nothing does


@dataclass(frozen=True, slots=True)
class Decision:
    """One of them. Of a policy, values are its `digest`, its `path` and the keys that `changed`."""

    number: int
    time_ms: int
    kind: str
    user: str
    name: str
    reason: str
    before: Value
    after: Value
    undoes: int = 0
    undone: int = 0
    holds: bool = True

    @property
    def fixed(self) -> str:
        """Why it cannot be undone; "" where it can."""
        if self.kind in ONLY_TOLD:
            return "it cannot be taken back"
        if self.undone:
            return f"decision {self.undone} has undone it"
        if not self.holds:
            return "something else was decided since: undo that first"
        if self.name == POLICY and not (self.before or {}).get("digest"):
            return "the configuration before it was not kept"
        if self.name == POLICY and _digest(self.before) == _digest(self.after):
            return "it changed nothing"
        return ""


def history(store: Store) -> list[Decision]:
    """All decisions, oldest first."""
    events = sorted((each for kind in KINDS for each in store.events_of(kind)), key=_number)
    return folded(events)


def folded(events: Sequence[Mapping[str, Any]]) -> list[Decision]:
    """Decisions from their events: what held before each follows from those before it."""
    standing: dict[str, Value] = {}
    found: list[Decision] = []
    undone: dict[int, int] = {}
    for event in events:
        payload, name = event["payload"], _name(event)
        after = _after(event)
        undoes = int(payload.get("undoes", 0))
        found.append(
            Decision(
                number=event["seq"],
                time_ms=event["time_ms"],
                kind=event["kind"],
                user=_user(event),
                name=name,
                reason=event["reason"],
                before=standing.get(name),
                after=after,
                undoes=undoes,
            )
        )
        standing[name] = after
        if undoes:
            undone[undoes] = event["seq"]
    found = [replace(each, undone=_undone(each.number, undone)) for each in found]
    return [replace(each, holds=_same(each.after, standing.get(each.name))) for each in found]


def _undone(number: int, by: Mapping[int, int]) -> int:
    """The decision that has undone it; 0 where none has, or that one was undone itself."""
    found = by.get(number, 0)
    return 0 if not found or _undone(found, by) else found


def view(decision: Decision) -> DecisionView:
    """The decision for clients."""
    return DecisionView(
        number=decision.number,
        time=moment(decision.time_ms),
        user=decision.user,
        name=decision.name,
        sentence=decision.reason,
        before=words(decision.name, decision.before),
        after=words(decision.name, decision.after),
        undoes=decision.undoes,
        undone=decision.undone,
        holds=decision.holds,
        fixed=decision.fixed,
    )


def words(name: str, value: Value) -> str:
    """What holds, for people; "" for what nobody has decided before."""
    if name == POLICY:
        return "" if value is None else _policy(value)
    if name == SHIFTING:
        return "on" if value is None else _because("off", value)
    if name.startswith(DRAIN):
        return "in use" if value is None else _because(_until("drained", value), value)
    if name in ONLY_TOLD:
        return ""
    if value is None:
        return "not set"
    return ", ".join(f"{key} {each}" for key, each in sorted(value.items()))


def _policy(value: Mapping[str, Any]) -> str:
    digest = str(value.get("digest", ""))
    return f"{value.get('path') or 'no file'}, {digest[:12] or 'not kept'}"


def _until(said: str, value: Mapping[str, Any]) -> str:
    until_ms = value.get("until_ms")
    return said if until_ms is None else f"{said} until {moment(until_ms):%Y-%m-%d %H:%M} UTC"


def _because(said: str, value: Mapping[str, Any]) -> str:
    return f"{said}: {value['reason']}" if value.get("reason") else said


def _user(event: Mapping[str, Any]) -> str:
    gone = "user" in (event.get("hidden") or {})
    return NOBODY if gone else str(event["payload"].get("user", ""))


def _name(event: Mapping[str, Any]) -> str:
    if event["kind"] in STANDING:
        return POLICY
    if event["kind"] in ONLY_TOLD:
        return str(event["kind"])
    return str(event["payload"]["decision"])


def _after(event: Mapping[str, Any]) -> Value:
    payload = event["payload"]
    if event["kind"] in (REVOKED, *ONLY_TOLD):
        return None
    return {name: value for name, value in payload.items() if name not in _OURS}


def _same(one: Value, other: Value) -> bool:
    if one is None or other is None:
        return one is other
    if "digest" in one or "digest" in other:
        return _digest(one) == _digest(other)
    return dict(one) == dict(other)


def _digest(value: Value) -> str:
    return str((value or {}).get("digest", ""))


def _number(event: Mapping[str, Any]) -> int:
    return int(event["seq"])
