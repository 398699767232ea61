"""Rules, hours and drains: no plan goes where they do not let it, and what is explained is what happens."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.daemon.region_board import DRAIN, SHIFTING, RegionBoard
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Plan, Why, Window
from tidewatt.scheduler.planning import ladder
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.policies.opening import DAYS, closed_windows, parse_hours
from tidewatt.scheduler.policies.rule import Facts, Word
from tidewatt.scheduler.policies.rules import rules_of
from tidewatt.scheduler.region_tables import described
from tidewatt.scheduler.settings import Settings
from tidewatt.scheduler.store.decisions import DecisionRecord

NOW = datetime(2026, 3, 10, 9, 20, tzinfo=UTC)  # a Tuesday
NAMES = ("a", "b", "c")
HOUR = timedelta(hours=1)
PREFERRED = ({"name": "first", "because": "so it is", "verdict": "prefer", "regions": ["b"]},)
LOOK = settings(max_examples=60, deadline=None)

some = st.lists(st.sampled_from(("x", "y")), max_size=1).map(tuple)
texts = st.builds(
    "{}-{} {:02}:00-{:02}:00".format,
    st.sampled_from([day.capitalize() for day in DAYS]),
    st.sampled_from([day.capitalize() for day in DAYS]),
    st.integers(0, 23),
    st.integers(0, 24),
)


@st.composite
def tables(draw: st.DrawFn, first: tuple[dict[str, Any], ...] = ()) -> Settings:
    """Three regions, some with hours or lists of data, and up to three rules after the first ones."""
    regions: list[dict[str, Any]] = []
    for name in NAMES:
        region: dict[str, Any] = {"name": name, "cpus": draw(st.integers(1, 3))}
        if draw(st.booleans()):
            region |= {"open": [draw(texts)], "time_zone": draw(st.sampled_from(("UTC", "Asia/Tokyo")))}
        if draw(st.booleans()):
            region["data"] = [draw(st.sampled_from(("eu", "public", "*")))]
        regions.append(region)
    rules = [
        {
            "name": str(number),
            "because": "so it is",
            "verdict": draw(st.sampled_from(("allow", "prefer", "forbid"))),
            "users": draw(some),
            "projects": draw(some),
            "regions": draw(st.lists(st.sampled_from(NAMES), max_size=2)),
        }
        for number in range(draw(st.integers(0, 3)))
    ]
    return Settings.model_validate({"region": regions, "policy": [*first, *rules]})


@st.composite
def boards(draw: st.DrawFn, first: tuple[dict[str, Any], ...] = ()) -> RegionBoard:
    """Regions, some of which are drained, at a moment."""
    found = draw(tables(first))
    board = RegionBoard(described(found), found, rules_of(found, ("c.toml", "")), lambda: NOW)
    decisions = {}
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=2)):
        hours = draw(st.none() | st.integers(1, 48))
        value = {} if hours is None else {"until_ms": time_ms(NOW + hours * HOUR)}
        decisions[DRAIN + name] = DecisionRecord(DRAIN + name, value, time_ms(NOW - HOUR), "ops")
    if draw(st.booleans()):
        decisions[SHIFTING] = DecisionRecord(SHIFTING, {}, time_ms(NOW), "ops")
    board.decided(decisions)
    return board


@st.composite
def jobs(draw: st.DrawFn) -> list[tuple[Ask, Facts]]:
    """Up to four jobs of one core, of one of two users and projects."""
    found = []
    for number in range(1, 1 + draw(st.integers(1, 4))):
        who, project = draw(st.sampled_from(("x", "y"))), draw(st.sampled_from(("x", "y")))
        labels = draw(st.sampled_from(({}, {"data": "eu"}, {"data": "eu,public"})))
        length = draw(st.integers(1, 10)) * timedelta(minutes=30)
        finish_by = draw(st.none() | st.integers(1, 60).map(lambda hours: NOW + hours * HOUR))
        asked = Ask(
            number, NOW, Need(), length, "yours", 100.0, "given", finish_by=finish_by, home="a", late=True
        )
        found.append((asked, Facts(who, frozenset(), project, labels)))
    return found


def asked(board: RegionBoard, found: list[tuple[Ask, Facts]]) -> list[Ask]:
    return [
        board.wished(replace(each, exclude_regions=board.forbidden(facts)), facts) for each, facts in found
    ]


def planned(board: RegionBoard, asks: list[Ask]) -> dict[int, Plan | None]:
    ahead = dict.fromkeys(NAMES)
    situation = Situation(board.regions, ahead, (), NOW, Policy(), asks)
    plans = ladder.plan(situation, ladder.DEFAULT[1:]).plans
    return {i: plan.earliest if isinstance(plan, Infeasible) else plan for i, plan in plans.items()}


def outside(board: RegionBoard, region: str, window: Window) -> tuple[Window, ...]:
    """When the region is closed within a window, by its table alone."""
    table = board.table(region)
    if table is None or not table.open:
        return ()
    hours = [parse_hours(text) for text in table.open]
    return closed_windows(hours, ZoneInfo(table.time_zone), window.start, window.end)


NEVER = 9999  # what is drained without an end opens at the end of all time: the daemon takes such a plan back


@given(boards(), jobs())
@LOOK
def test_no_plan_lies_in_a_forbidden_drained_or_closed_region(
    board: RegionBoard, found: list[tuple[Ask, Facts]]
) -> None:
    plans = planned(board, asked(board, found))
    for ask, facts in found:
        plan = plans.get(ask.job_id)
        if plan is None or plan.window.start.year == NEVER:
            continue
        assert board.verdicts(facts)[plan.region].word is not Word.FORBID
        region = next(each for each in board.regions if each.name == plan.region)
        for window in (*region.closed, *outside(board, plan.region, plan.window)):
            assert not window.start < plan.window.end or not plan.window.start < window.end
        if plan.window.start <= NOW:
            assert board.shut(plan.region) == ""
        assert (plan.why is Why.UNSHIFTED) <= (board.unshifted is not None)


@given(boards(PREFERRED), jobs())
@LOOK
def test_job_without_a_deadline_goes_where_it_is_preferred_if_anything_there_is_ever_open(
    board: RegionBoard, found: list[tuple[Ask, Facts]]
) -> None:
    ask, facts = replace(found[0][0], finish_by=None), found[0][1]
    [wished] = asked(board, [(ask, facts)])
    plan = planned(board, [wished])[ask.job_id]
    if plan is None or not wished.prefer or plan.region in wished.prefer:
        return
    alone = replace(wished, regions=wished.prefer, prefer=())
    assert planned(board, [alone])[ask.job_id] is None


@given(boards(), jobs())
@LOOK
def test_explanation_names_a_rule_that_fits_with_none_before_it(
    board: RegionBoard, found: list[tuple[Ask, Facts]]
) -> None:
    stated = {rule.name: rule for rule in board.rules.rules}
    for _, facts in found:
        for name, verdict in board.verdicts(facts).items():
            fitting = [
                rule
                for rule in stated.values()
                if (not rule.users or facts.user in rule.users)
                and (not rule.projects or facts.project in rule.projects)
                and (not rule.regions or name in rule.regions)
            ]
            if verdict.rule in stated:
                assert fitting[0] is stated[verdict.rule]
                assert verdict.word is fitting[0].word
            elif not verdict.rule:
                assert fitting == []
            assert (name in board.forbidden(facts)) == (verdict.word is Word.FORBID)


@given(st.lists(texts, min_size=1, max_size=3), st.integers(0, 2000), st.integers(0, 40 * 24 * 12))
@LOOK
def test_it_is_closed_exactly_outside_its_hours(hours: list[str], since: int, offset: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 1, 1, tzinfo=UTC) + since * HOUR
    moment = start + offset * timedelta(minutes=5)
    parsed = [parse_hours(text) for text in hours]
    windows = closed_windows(parsed, zone, start, start + timedelta(days=41))
    local = moment.astimezone(zone)
    minute = local.hour * 60 + local.minute
    is_open = any(
        (local.weekday() in each.days and each.start <= minute < each.start + each.length)
        or ((local.weekday() - 1) % 7 in each.days and minute < each.start + each.length - 24 * 60)
        for each in parsed
    )
    if _shifts(local):
        return
    assert is_open == (not any(window.start <= moment < window.end for window in windows))
    assert all(one.end < two.start for one, two in pairwise(windows))


def _shifts(local: datetime) -> bool:
    """True on the day of a change of the clock and the one after it, when a minute of the day is no hour."""
    return any((local + days * timedelta(days=1)).utcoffset() != local.utcoffset() for days in (-2, -1, 1, 2))
