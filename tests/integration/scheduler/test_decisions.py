"""What operators decided, in order, and taking it back: what held before holds again, as a new decision."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.scheduler.office import NOW
from tests.integration.scheduler.precinct import THREE, Precinct, precinct
from tidewatt.scheduler.daemon.callers import Caller, asking, user_name
from tidewatt.scheduler.daemon.history import folded, words
from tidewatt.scheduler.daemon.policy_views import begun
from tidewatt.scheduler.daemon.shifting import switch
from tidewatt.scheduler.daemon.undoing import Decisions
from tidewatt.scheduler.decision_schema import DecisionView, UndoReply, UndoRequest
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.operator_schema import DrainRequest, ReloadRequest, ShiftingRequest

ME = user_name()
RULE = """
[[policy]]
name = "nobody goes west"
regions = ["west"]
verdict = "forbid"
because = "the line is cut"
[limits]
running = 1
"""


def listed(at: Precinct) -> list[DecisionView]:
    """Oldest first."""
    return list(reversed(Decisions(at.service).page(None, 1000).decisions))


def undo(at: Precinct, number: int | None = None) -> UndoReply:
    return Decisions(at.service).undo(UndoRequest(number=number))


def test_decisions_are_told_in_order_with_who_and_what_held_before_and_after() -> None:
    with precinct() as at:
        begun(at.site, at.store)
        at.drains.drain("west", DrainRequest(reason="new fans"))
        switch(at.service, ShiftingRequest(on=False, reason="audit"))
        at.file.write_text(THREE + RULE)
        at.policies.reload(ReloadRequest())
        at.drains.undrain("west")
        found = listed(at)
        assert [(each.name, each.before, each.after) for each in found[1:3]] == [
            ("drain:west", "in use", "drained: new fans"),
            ("shifting", "on", "off: audit"),
        ]
        assert [each.name for each in found] == ["policy", "drain:west", "shifting", "policy", "drain:west"]
        assert {each.user for each in found} == {ME}
        assert found[0].before == ""
        assert found[3].before == found[0].after != found[3].after
        assert [each.number for each in found] == sorted(each.number for each in found)
        changed = Decisions(at.service).one(found[3].number).difference
        assert '+name = "nobody goes west"' in changed


def test_undoing_one_after_another_goes_back_to_where_it_began() -> None:
    with precinct() as at:
        begun(at.site, at.store)
        at.drains.drain("west", DrainRequest(reason="new fans"))
        switch(at.service, ShiftingRequest(on=False))
        at.file.write_text(THREE + RULE)
        at.policies.reload(ReloadRequest())
        assert at.site.board.settings.limits.running == 1
        assert undo(at).undone.name == "policy"
        assert at.site.board.settings.limits.running is None
        assert at.file.read_text() == THREE
        assert at.file.with_name("config.toml.before").read_text() == THREE + RULE
        assert undo(at).undone.name == "shifting"
        assert at.site.board.unshifted is None
        assert undo(at).undone.name == "drain:west"
        assert at.sent(finish_by=NOW + timedelta(hours=6)).region == "west"
        with pytest.raises(Refused, match="nothing was decided that could be undone"):
            undo(at)


def test_what_was_undone_can_be_brought_back() -> None:
    with precinct() as at:
        at.drains.drain("west", DrainRequest(reason="new fans"))
        [drained] = listed(at)
        first = undo(at, drained.number)
        assert (first.decision.undoes, first.undone.undone) == (drained.number, first.decision.number)
        assert at.site.board.drains() == ()
        again = undo(at, first.decision.number)
        assert [str(each) for each in at.site.board.drains()] == [f"west is drained by {ME}: new fans"]
        assert again.decision.after == "drained: new fans"
        assert listed(at)[0].undone == 0  # it holds again
        at.restart()
        assert at.store.decisions().keys() == {"drain:west"}


def test_what_was_decided_since_is_undone_first() -> None:
    with precinct() as at:
        at.drains.drain("west", DrainRequest(reason="one"))
        at.drains.drain("west", DrainRequest(reason="two"))
        one, two = listed(at)
        with pytest.raises(Refused, match="something else was decided since"):
            undo(at, one.number)
        assert undo(at, two.number).decision.after == "drained: one"
        assert undo(at, one.number).decision.after == "in use"
        with pytest.raises(Refused, match=r"decision \d+ has undone it"):
            undo(at, one.number)
        with pytest.raises(BadInput, match="there is no decision 999"):
            undo(at, 999)


def test_a_drain_that_would_be_over_is_not_begun_again() -> None:
    with precinct() as at:
        at.drains.drain("west", DrainRequest(until=NOW + timedelta(hours=1)))
        at.drains.undrain("west")
        at.wait(timedelta(hours=2))
        undo(at, listed(at)[1].number)
        assert at.store.decisions() == {}


def test_a_file_that_was_changed_since_is_not_written_over() -> None:
    with precinct() as at:
        begun(at.site, at.store)
        at.file.write_text(THREE + RULE)
        at.policies.reload(ReloadRequest())
        at.file.write_text(THREE + "# somebody is at work here\n")
        with pytest.raises(Refused, match="has changed since it was read"):
            undo(at)
        assert at.file.read_text() == THREE + "# somebody is at work here\n"


def test_a_configuration_that_was_changed_where_it_is_kept_is_not_put_in_force() -> None:
    with precinct() as at:
        begun(at.site, at.store)
        at.file.write_text(THREE + RULE)
        at.policies.reload(ReloadRequest())
        for each in at.paths.policies.iterdir():
            assert each.stat().st_mode & 0o777 == 0o600
            each.write_text(each.read_text() + "# else\n")
        with pytest.raises(Refused, match="was changed in the state folder"):
            undo(at)
        assert at.file.read_text() == THREE + RULE


def test_a_start_with_another_configuration_is_told_once() -> None:
    with precinct() as at:
        begun(at.site, at.store)
        begun(at.site, at.store)
        assert len(listed(at)) == 1
        at.file.write_text(THREE + RULE)
        at.restart()
        begun(at.site, at.store)
        [_, later] = listed(at)
        assert later.sentence == "the daemon was started with this configuration"
        undo(at, later.number)
        assert at.file.read_text() == THREE


def test_a_disk_that_is_full_keeps_no_daemon_from_starting_and_changes_no_rules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with precinct() as at:
        begun(at.site, at.store)

        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        at.file.write_text(THREE + RULE)
        monkeypatch.setattr("tidewatt.scheduler.daemon.policy_files.os.fsync", full)
        with pytest.raises(Refused, match="No space left on device"):
            at.policies.reload(ReloadRequest())
        begun(at.site, at.store)
        assert len(listed(at)) == 1
        assert at.site.board.settings.limits.running is None


def test_only_operators_see_and_undo() -> None:
    with precinct() as at:
        at.drains.drain("west", DrainRequest())
        with asking(Caller(1001, 1001, frozenset(), "bob", operator=False)):
            for call in (lambda: listed(at), lambda: undo(at), lambda: Decisions(at.service).one(1)):
                with pytest.raises(Refused, match="only operators"):
                    call()


STEP = st.tuples(st.sampled_from(["drain:a", "drain:b", "shifting"]), st.integers(0, 3))


@given(st.lists(STEP, max_size=12))
@settings(max_examples=60)
def test_what_a_decision_says_of_before_is_what_the_one_before_it_says_of_after(
    steps: list[tuple[str, int]],
) -> None:
    events: list[dict[str, Any]] = []
    standing: dict[str, int | None] = {}
    expected = []
    for seq, (name, value) in enumerate(steps, 1):
        told = {"decision": name, "user": "ada"} | ({"reason": str(value)} if value else {})
        kind = "operator.decided" if value else "operator.revoked"
        events.append({"seq": seq, "time_ms": seq, "kind": kind, "reason": "", "payload": told})
        expected.append((standing.get(name), value or None))
        standing[name] = value or None
    found = folded(events)
    for each, (before, after) in zip(found, expected, strict=True):
        for held, known in ((each.before, before), (each.after, after)):
            assert (None if held is None else held["reason"]) == (None if known is None else str(known))
        assert each.holds == (after == standing[each.name])
        assert words(each.name, each.after)
