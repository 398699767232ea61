"""Looks at all attempts at once: one call of squeue for each cluster, more only where something ended."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tidewatt.backends import claim, durable
from tidewatt.backends.attempt import Attempt
from tidewatt.backends.backend import AttemptStatus, BackendError, Launch, Move, Phase
from tidewatt.backends.slurm import continuing, facts, verdict
from tidewatt.backends.slurm.accounts import accounted, accounts
from tidewatt.backends.slurm.facts import Facts
from tidewatt.backends.slurm.listing import rows
from tidewatt.backends.slurm.reach import Reach
from tidewatt.backends.slurm.reference import Reference
from tidewatt.backends.slurm.replies import Row
from tidewatt.backends.slurm.states import Stand, stand

_INSISTS_S = 5.0  # between two requests for the same end
_SETTLES_S = 5.0  # so long a file may come after the word of its writer's end
_MOVES = "moves.json"
_LOST = "exit status lost: Slurm no longer knows it"


@dataclass(frozen=True, slots=True)
class _Case:
    """One attempt at one look."""

    folder: Path
    launch: Launch
    reference: Reference
    row: Row | None
    facts: Facts


@dataclass(slots=True)
class Watch:
    """Remembers what needs no second question: how attempts ended, and who claimed them."""

    _ended: dict[Path, AttemptStatus] = field(default_factory=dict)
    _claimed: dict[Path, Facts] = field(default_factory=dict)
    _since: dict[Path, float] = field(default_factory=dict)  # absent or over, without a word of its script
    _insisted: dict[Path, float] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def look(self, folders: Sequence[Path]) -> dict[Path, AttemptStatus]:
        """The status of each; never raises."""
        found: dict[Path, AttemptStatus] = {}
        open_: dict[Reach, list[tuple[Path, Launch, Reference]]] = {}
        for folder in folders:
            try:
                known = self._known(folder)
            except (OSError, durable.CorruptError) as error:
                known = AttemptStatus(Phase.UNKNOWN, reason=f"cannot be told: {error}")
            if isinstance(known, AttemptStatus):
                found[folder] = known
            else:
                open_.setdefault(known[1].reach, []).append((folder, *known))
        for reach, group in open_.items():
            found |= self._group(reach, group)
        return found

    def row(self, reference: Reference) -> Row | None:
        """The attempt's job as it stands in the queue; None where it is not there.

        Raises:
            BackendError: The cluster does not answer.
        """
        return _own(reference, rows(reference.reach))

    def facts(self, reference: Reference) -> Facts:
        """What the attempt's script has left; raises BackendError where that cannot be read."""
        return facts.look(reference.reach, [reference.there])[reference.there]

    def note(self, folder: Path, phase: Phase, at_ms: int) -> None:
        """Keeps a move of the attempt, unless it is in that phase already."""
        moves = _moves(folder)
        if (moves[-1].phase if moves else Phase.RUNNING) is not phase:
            content = [[str(each.phase), each.at_ms, each.reason] for each in moves]
            durable.replace(folder / _MOVES, {"moves": [*content, [str(phase), at_ms, ""]]})

    def due(self, folder: Path) -> bool:
        """Whether it is time to ask again for an end."""
        last = self._insisted.setdefault(folder, time.monotonic())
        if time.monotonic() - last < _INSISTS_S:
            return False
        self._insisted[folder] = time.monotonic()
        return True

    def asked_for_s(self, folder: Path) -> float:
        """How long ago its end was asked for."""
        try:
            return max(0.0, time.time() - (folder / "stop.json").stat().st_mtime)
        except OSError:
            return 0.0

    def forget(self, folder: Path) -> None:
        """Looks anew at an attempt the next time."""
        for memory in (self._claimed, self._since, self._insisted):
            memory.pop(folder, None)

    def _known(self, folder: Path) -> AttemptStatus | tuple[Launch, Reference]:
        """What is known without asking, or whom to ask for what."""
        if folder in self._ended:
            return self._ended[folder]
        taken = claim.read(folder)
        if taken is not None and taken.process is None:
            return AttemptStatus(Phase.POISONED, reason=taken.reason)
        launch, reference = Attempt(folder).launch(), Reference.read(folder)
        if launch is None or reference is None:
            return AttemptStatus(Phase.LAUNCHING, reason="not submitted yet")
        return launch, reference

    def _group(
        self, reach: Reach, group: Sequence[tuple[Path, Launch, Reference]]
    ) -> dict[Path, AttemptStatus]:
        try:
            queue = rows(reach)
            cases = self._cases(reach, group, queue)
            gone = [
                case
                for case in cases
                if case.row is None and case.reference.number and verdict.untold(case.facts)
            ]
            kept = accounts(reach, [case.reference for case in gone]) if gone else {}
        except BackendError as error:
            return {folder: AttemptStatus(Phase.UNKNOWN, reason=str(error)) for folder, *_ in group}
        found = {}
        for case in cases:
            if case in gone:
                case = replace(case, row=accounted(case.reference, case.facts.started_ms, kept))
            try:
                found[case.folder] = self._told(case)
            except (BackendError, OSError, durable.CorruptError) as error:
                found[case.folder] = AttemptStatus(Phase.UNKNOWN, reason=f"cannot be told: {error}")
        return found

    def _cases(
        self, reach: Reach, group: Sequence[tuple[Path, Launch, Reference]], queue: Mapping[str, Row]
    ) -> list[_Case]:
        """Each attempt with its row; files are read only where they may say something new."""
        cases, unread = [], []
        for folder, launch, reference in group:
            row = _own(reference, queue)
            if row is not None and not reference.number:
                reference = reference.numbered(folder, row.number)
            known = self._claimed.get(folder)
            place = Stand.OVER if row is None else stand(row.state)
            started = known is not None and known.started_ms is not None
            if (place is Stand.WAITS and not started) or (place in (Stand.RUNS, Stand.SUSPENDED) and started):
                quiet = row is None or row.state != "COMPLETING"
            else:
                quiet = False
            if not quiet:
                unread.append(reference.there)
            cases.append(_Case(folder, launch, reference, row, known or Facts()))
        read = facts.look(reach, unread)
        return [replace(case, facts=read.get(case.reference.there, case.facts)) for case in cases]

    def _told(self, case: _Case) -> AttemptStatus:
        folder, seen, row = case.folder, case.facts, case.row
        if seen.poisoned:
            claim.poison(folder, seen.poisoned)
            return AttemptStatus(Phase.POISONED, reason=seen.poisoned)
        if seen.started_ms is not None:
            with self._guard:
                self._claimed[folder] = seen
        if seen.exit and not verdict.waits_for_slurm(seen, row):
            return self._close(case, verdict.ended(case.launch, seen, row, _moves(folder)))
        if row is None:
            return self._absent(case)
        match stand(row.state):
            case Stand.WAITS:
                return self._waits(case, row)
            case Stand.RUNS | Stand.SUSPENDED | Stand.UNSURE:
                self._since.pop(folder, None)
                return self._runs(case, row)
            case Stand.OVER:
                return self._over(case, row)

    def _waits(self, case: _Case, row: Row) -> AttemptStatus:
        if case.facts.started_ms is not None:  # queued again after it had run: one attempt runs once
            status = verdict.ended(case.launch, case.facts, row, _moves(case.folder))
            case.reference.reach.call("scancel", row.number)
            return self._close(case, status)
        why = row.reason or "in the queue"
        return AttemptStatus(Phase.LAUNCHING, reason=f"pending: {why}")

    def _runs(self, case: _Case, row: Row) -> AttemptStatus:
        seen, launch = case.facts, case.launch
        if seen.started_ms is None:
            return AttemptStatus(Phase.LAUNCHING, reason=f"pending: {row.state.lower()}")
        suspended = stand(row.state) is Stand.SUSPENDED
        moves = _moves(case.folder)
        last = moves[-1].phase if moves else Phase.RUNNING
        if suspended and last is not Phase.SUSPENDED:
            self.note(case.folder, Phase.SUSPENDED, launch.clock.now_ms())  # by an operator
        if not suspended and last is Phase.SUSPENDED:
            self.note(case.folder, Phase.RUNNING, launch.clock.now_ms())
        moves = _moves(case.folder)
        return AttemptStatus(
            moves[-1].phase if moves else Phase.RUNNING,
            started_ms=launch.clock.at_ms(seen.started_ms),
            moves=moves,
            warnings=Attempt(case.folder).warnings(),
            gpu_uuids=seen.gpus,
        )

    def _over(self, case: _Case, row: Row) -> AttemptStatus:
        """Slurm says that it is over, and its script has not said how."""
        if not self._settled(case):
            return self._runs(case, row)
        if case.facts.started_ms is None:
            reason = f"Slurm ended it before it started ({': '.join(filter(None, (row.state, row.reason)))})"
            if facts.poison(case.reference.reach, case.reference.there, reason):
                claim.poison(case.folder, reason)
                return AttemptStatus(Phase.POISONED, reason=reason)
            return AttemptStatus(Phase.LAUNCHING, reason="it was started just now")
        if row.exit_code is None:
            kept = accounts(case.reference.reach, [case.reference])
            row = accounted(case.reference, case.facts.started_ms, kept) or row
        return self._close(case, verdict.ended(case.launch, case.facts, row, _moves(case.folder)))

    def _absent(self, case: _Case) -> AttemptStatus:
        """Nowhere to be found: that means something only when Slurm would show it by now."""
        reference = case.reference
        sent_s = time.time() - reference.sent_ms / 1000
        if not reference.number and 0 <= sent_s < reference.visible_within_s:  # else a clock was set back
            return AttemptStatus(Phase.LAUNCHING, reason="pending: it is not known yet whether Slurm has it")
        if reference.first is not None and continuing.again(case.launch, reference):
            return AttemptStatus(Phase.LAUNCHING, reason="pending: let go again")
        if reference.number and not self._settled(case):
            return self._runs(case, Row(reference.number, "COMPLETING"))
        reason = (
            "Slurm never took it" if not reference.number else "Slurm no longer knows it, and never ran it"
        )
        if facts.poison(reference.reach, reference.there, reason):
            claim.poison(case.folder, reason)
            return AttemptStatus(Phase.POISONED, reason=reason)
        seen = self.facts(reference)
        if not reference.number and seen.number:
            reference.numbered(case.folder, seen.number)
            return AttemptStatus(Phase.LAUNCHING, reason="it was started just now")
        started_ms = None if seen.started_ms is None else case.launch.clock.at_ms(seen.started_ms)
        status = AttemptStatus(Phase.ENDED, started_ms=started_ms, reason=_LOST, gpu_uuids=seen.gpus)
        return self._close(case, status)

    def _settled(self, case: _Case) -> bool:
        """Whether the same was seen for long enough that no file comes late."""
        since = self._since.setdefault(case.folder, time.monotonic())
        return time.monotonic() - since >= _SETTLES_S

    def _close(self, case: _Case, status: AttemptStatus) -> AttemptStatus:
        """The attempt has ended: so it stays."""
        status = replace(status, warnings=Attempt(case.folder).warnings())
        verdict.keep_checkpoint(case.folder, case.launch, case.reference, case.facts, status)
        with self._guard:
            self._ended[case.folder] = status
        self._claimed.pop(case.folder, None)
        self._since.pop(case.folder, None)
        return status


def _own(reference: Reference, queue: Mapping[str, Row]) -> Row | None:
    """The attempt's job: that of its number, if its token is there, too, else one with its token."""
    row = queue.get(reference.number)
    if row is not None and row.comment == reference.token:
        return row
    ours = [each for each in queue.values() if each.comment == reference.token]
    return ours[0] if ours else None


def _moves(folder: Path) -> tuple[Move, ...]:
    content = durable.read(folder / _MOVES) or {}
    return tuple(Move(Phase(phase), at_ms, reason) for phase, at_ms, reason in content.get("moves", ()))
