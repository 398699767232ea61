"""Takes decisions of operators back: what held before holds again, by a new decision of whoever undoes it."""

import difflib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.daemon import policy_files, rule_file
from tidewatt.scheduler.daemon.callers import current, operator_only, user_name
from tidewatt.scheduler.daemon.history import POLICY, STANDING, Decision, Value, history, view
from tidewatt.scheduler.daemon.paging import Limit, Number, link
from tidewatt.scheduler.daemon.policy_views import Policies
from tidewatt.scheduler.daemon.region_board import SHIFTING
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.shifting import switch
from tidewatt.scheduler.decision_schema import DecisionReply, DecisionsPage, UndoReply, UndoRequest
from tidewatt.scheduler.errors import BadInput, Refused, SchedulerError
from tidewatt.scheduler.operator_schema import ReloadRequest, ShiftingRequest
from tidewatt.scheduler.store.decisions import DecisionRecord, decide, revoke

if TYPE_CHECKING:
    from fastapi import FastAPI

log = structlog.get_logger()
MOST_LINES = 500


class Decisions:
    """The history, and undoing."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._site, self._store = service.site, service.store

    def page(self, before: int | None, limit: int) -> DecisionsPage:
        """Decisions with numbers below `before`, newest first; raises Refused for who is no operator."""
        operator_only("see what was decided")
        found = [each for each in reversed(history(self._store)) if before is None or each.number < before]
        shown = found[:limit]
        further = shown[-1].number if len(found) > limit else None
        page = link("decisions", {"limit": limit}, further)
        return DecisionsPage(decisions=tuple(map(view, shown)), next=page)

    def one(self, number: int) -> DecisionReply:
        """A decision, and what it changed in the configuration.

        Raises:
            BadInput: There is none of that number.
            Refused: Whoever asks is no operator.
        """
        operator_only("see what was decided")
        found = _named(history(self._store), number)
        caller = current()
        may_read = caller is None or caller.uid == 0  # the rest of the file may hold what is not for all
        return DecisionReply(decision=view(found), difference=self._difference(found) if may_read else ())

    def undo(self, request: UndoRequest) -> UndoReply:
        """Has hold again what held before a decision.

        Raises:
            BadInput: There is no such decision.
            Refused: It cannot be undone, or whoever asks is no operator.
        """
        operator_only("undo what was decided")
        with self._service.lock:
            found = self._chosen(request.number)
            later: tuple[str, ...] = ()
            if found.name == POLICY:
                later = self._policy(found)
            elif found.name == SHIFTING:
                on = found.before is None
                switch(self._service, ShiftingRequest(on=on, reason=_reason(found.before)), found.number)
            else:
                self._put(found)
            after = history(self._store)
            done = next(each for each in reversed(after) if each.undoes == found.number)
        log.info("decision.undone", number=found.number, name=found.name, user=user_name())
        self._service.wake(f"decision {found.number} is undone")
        return UndoReply(undone=view(_named(after, found.number)), decision=view(done), later=later)

    def _chosen(self, number: int | None) -> Decision:
        """The decision that is meant."""
        known = history(self._store)
        if number is None:
            found = next((each for each in reversed(known) if not each.fixed and not each.undoes), None)
            if found is None:
                raise Refused("nothing was decided that could be undone: see `tidewatt policy history`")
            return found
        found = _named(known, number)
        if found.fixed:
            raise Refused(f"decision {number} cannot be undone: {found.fixed}")
        return found

    def _put(self, found: Decision) -> None:
        """Puts back what held by that name."""
        now_ms, user, before = time_ms(self._site.clock.now()), user_name(), _lasting(found, self._now_ms())
        said = f"decision {found.number} is undone: {found.reason or found.name}"
        with self._store.transaction() as transaction:
            if before is None:
                revoke(transaction, found.name, user, now_ms, said, undoes=found.number)
            else:
                record = DecisionRecord(found.name, dict(before), now_ms, user)
                decide(transaction, record, said, undoes=found.number)
        self._site.board.decided(self._store.decisions())

    def _policy(self, found: Decision) -> tuple[str, ...]:
        """Writes the configuration of before and has it read; a file that is refused then is put back."""
        before, after = found.before or {}, found.after or {}
        text = policy_files.kept(self._site.paths, str(before.get("digest", "")))
        if text is None:
            raise Refused("the configuration before it was not kept, or was changed in the state folder")
        path = Path(str(after.get("path", "")))
        now = policy_files.whole(path)
        if policy_files.digest(now) != after.get("digest"):
            raise Refused(
                f"{path} has changed since it was read, and that is not in force: put it in force"
                " (`tidewatt policy reload`) or take it out first"
            )
        file = rule_file.RuleFile(path, now, "", "", "")
        rule_file.put(file, text)
        try:
            reply = Policies(self._service).reload(ReloadRequest(), undoes=found.number)
        except SchedulerError:
            rule_file.put(replace(file, whole=text), now)
            raise
        return reply.later

    def _difference(self, found: Decision) -> tuple[str, ...]:
        if found.kind not in STANDING:
            return ()
        texts = []
        for value in (found.before, found.after):
            text = policy_files.kept(self._site.paths, str((value or {}).get("digest", "")))
            if text is None:
                return ()
            texts.append(text.splitlines())
        lines = list(difflib.unified_diff(texts[0], texts[1], "before", "after", lineterm="", n=2))
        return tuple(lines[:MOST_LINES])

    def _now_ms(self) -> int:
        return time_ms(self._site.clock.now())


def _named(known: list[Decision], number: int) -> Decision:
    found = next((each for each in known if each.number == number), None)
    if found is None:
        raise BadInput(f"there is no decision {number}: `tidewatt policy history` lists them")
    return found


def _lasting(found: Decision, now_ms: int) -> Value:
    """What held before it; a drain that would be over by now is not begun again."""
    if found.before is None or found.before.get("until_ms", now_ms + 1) <= now_ms:
        return None
    return found.before


def _reason(value: Value) -> str:
    return str((value or {}).get("reason", ""))


def routes(api: "FastAPI", service: Service) -> None:
    """Adds `decisions` to the interface."""
    decisions = Decisions(service)

    @api.get("/api/v1/decisions")
    def listed(before: Number | None = None, limit: Limit = 100) -> DecisionsPage:
        """What operators decided, newest first."""
        return decisions.page(before, limit)

    @api.get("/api/v1/decisions/{number}")
    def one(number: int) -> DecisionReply:
        """One decision, with what it changed."""
        return decisions.one(number)

    @api.post("/api/v1/policy/undo")
    def undo(request: UndoRequest) -> UndoReply:
        """Has hold again what held before a decision."""
        return decisions.undo(request)
