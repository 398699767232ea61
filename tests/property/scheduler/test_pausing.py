"""Pausing jobs: the programme finds what trying out everything finds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.brute_force import Trial, changing, drawn
from tidewatt.scheduler.planning.pausing.bound import cheapest
from tidewatt.scheduler.planning.pausing.evaluation import cost_of, faults_of
from tidewatt.scheduler.planning.pausing.ground import ground_of
from tidewatt.scheduler.planning.pausing.piece import pieces
from tidewatt.scheduler.planning.pausing.programme import best_stints
from tidewatt.scheduler.planning.pausing.regions import compared
from tidewatt.scheduler.planning.pausing.stinting import paused
from tidewatt.scheduler.planning.pausing.work import Work


def equals_brute_force(work: Work) -> None:
    trial, found = Trial(work), best_stints(work)
    if found is None:
        assert not trial.spells, "a plan that exists was not found"
        return
    assert faults_of(work, found.parts) == []
    assert found.cost_g == pytest.approx(trial.least_g, rel=1e-9, abs=1e-9)
    assert cost_of(work, found.parts) == pytest.approx(found.cost_g, rel=1e-9, abs=1e-9)
    assert cheapest(work) <= found.cost_g * (1 + 1e-9) + 1e-12


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**9))
def test_stints_in_one_place_equal_brute_force(seed: int) -> None:
    equals_brute_force(drawn(seed, 1, moves=False))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**9))
def test_the_place_for_all_stints_equals_brute_force(seed: int) -> None:
    equals_brute_force(drawn(seed, 2, moves=False))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**9))
def test_stints_that_move_equal_brute_force(seed: int) -> None:
    equals_brute_force(drawn(seed, 2, moves=True))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**9))
def test_stints_of_a_draw_that_changes_equal_brute_force(seed: int) -> None:
    equals_brute_force(changing(drawn(seed, 1 + seed % 2, moves=False), seed))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**9))
def test_moves_never_cost_more_than_one_place(seed: int) -> None:
    static, dynamic = compared(drawn(seed, 3, moves=True))
    assert (static is None) or (dynamic is not None and dynamic.cost_g <= static.cost_g * (1 + 1e-9))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 59_999), st.integers(0, 59_999))
def test_edges_that_are_left_out_hold_no_better_plan(seed: int, later_ms: int, sooner_ms: int) -> None:
    work = drawn(seed, 1, moves=False)
    work = replace(work, release_ms=work.release_ms + later_ms, due_ms=work.due_ms - sooner_ms)
    ground = ground_of(work)
    every = paused(ground, [0], pruned=False)
    best, whole = best_stints(work), float(pieces(ground).cost_g[0])
    least = min(np.inf if every is None else every.cost_g, whole)
    if work.pausing.max_pauses == 0:
        least = whole
    assert (np.inf if best is None else best.cost_g) == pytest.approx(least, rel=1e-9, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.floats(0.3, 3.0))
def test_plans_at_any_speed_and_any_instant_are_sound(seed: int, ratio: float) -> None:
    """Off the grid too: odd lengths, odd speeds, odd first and last instants."""
    work, rng = drawn(seed, 2, moves=True), np.random.default_rng(seed)
    tracks = [work.tracks[0], replace(work.tracks[1], speed=ratio)]
    odd = replace(
        work,
        tracks=tracks,
        work_ms=max(1, work.work_ms - int(rng.integers(0, 59_000))),
        release_ms=work.release_ms + int(rng.integers(0, 59_000)),
        due_ms=work.due_ms - int(rng.integers(0, 59_000)),
    )
    odd = changing(odd, seed) if seed % 2 else odd
    found = best_stints(odd)
    if found is not None:
        assert faults_of(odd, found.parts) == []
        assert cost_of(odd, found.parts) == pytest.approx(found.cost_g, rel=1e-9, abs=1e-9)
        assert cheapest(odd) <= found.cost_g * (1 + 1e-9) + 1e-9
