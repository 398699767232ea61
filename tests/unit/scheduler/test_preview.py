"""A plan without a job."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.plan import Booking, Window
from tidewatt.scheduler.planning.estimate import Estimate
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.preview import ask_of, home_of, preview
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.request_schema import PlanReply, PlanRequest

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOST = Region("local", cpus=4)
POWER = Estimate(200.0, "assumed: 200 W")


def outlook() -> Outlook:
    kind = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
    values = np.array([300.0] * 4 + [120] + [300] * 30)
    starts = floor_ms(T0) + 3_600_000 * np.arange(len(values), dtype=np.int64)
    segment = Segment(T0, T0 + len(values) * HOUR, Rung.PROFILE, "profile DE")
    return Outlook("DE", kind, Steps(starts, starts + 3_600_000, values), (segment,))


def ask_for(request: PlanRequest, bookings: tuple[Booking, ...] = ()) -> PlanReply:
    situation = Situation((HOST,), {"local": outlook()}, bookings, T0, Policy())
    return preview(request, situation, POWER, HOUR, empty_queue=True)


def test_preview_shows_decision_grams_and_offers() -> None:
    reply = ask_for(PlanRequest(duration_s=3600, finish_by=T0 + 8 * HOUR))
    assert (reply.plan.start, reply.plan.why) == (T0 + 4 * HOUR, "cleanest")
    assert [reply.plan.expected_g, reply.plan.immediate_g] == pytest.approx([24, 60])
    assert reply.plan.sources == ("profile DE (profile)",)
    assert [offer.slack_h for offer in reply.offers] == [7, 13, 31]  # its own, and 6 and 24 h more
    assert reply.offers[0].saving_percent == pytest.approx(60)
    assert (reply.power_w, reply.power_source, reply.empty_queue) == (200, "assumed: 200 W", True)
    assert PlanReply.model_validate_json(reply.model_dump_json()) == reply


def test_bare_preview_assumes_the_default_duration() -> None:
    reply = ask_for(PlanRequest())
    assert (reply.plan.start, reply.plan.why) == (T0, "no deadline")
    assert (reply.duration_s, reply.duration_source) == (3600, "assumed")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (PlanRequest(duration_s=60, time_limit_s=120), (60, "yours")),
        (PlanRequest(time_limit_s=120), (120, "time limit")),
        (PlanRequest(), (3600, "assumed")),
    ],
)
def test_time_limit_stands_in_for_a_duration(request_: PlanRequest, expected: tuple[float, str]) -> None:
    made = ask_of(request_, 7, T0, "local", POWER, HOUR)
    assert (made.duration.total_seconds(), made.duration_source) == expected


def test_preview_refuses_as_submit_would() -> None:
    taken = (Booking("local", "", Window(T0, T0 + 20 * HOUR), 0, 4),)
    with pytest.raises(Refused, match="earliest finish is 2026-03-01 21:00"):
        ask_for(PlanRequest(duration_s=3600, finish_by=T0 + 8 * HOUR), taken)
    with pytest.raises(BadInput, match="in the past"):
        ask_for(PlanRequest(duration_s=3600, finish_by=T0 - HOUR))


def test_home_is_the_marked_region_else_local_else_the_first() -> None:
    a, local, marked = Region("a"), Region("local"), Region("b", home=True)
    assert home_of([a, local, marked]) is marked
    assert home_of([a, local]) is local
    assert home_of([a, Region("c")]) is a
    with pytest.raises(BadInput, match="no region is configured"):
        home_of([])
