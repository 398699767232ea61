"""Figures that take long to add up: the answer comes at once, the figures when they are there."""

import threading
from contextvars import ContextVar

import pytest

from tests.page.asking import app, ask
from tests.page.desks import FakeDesk
from tidewatt.scheduler.accounting.report_schema import Report
from tidewatt.scheduler.page import adding
from tidewatt.scheduler.page.adding import Sums

who: ContextVar[str] = ContextVar("who", default="nobody")


class SlowDesk(FakeDesk):
    """Adds nothing up before it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = threading.Event()

    def report(self, since_s: float | None, by: str, baseline: str) -> Report:
        assert self.let.wait(20)
        return super().report(since_s, by, baseline)


def test_savings_that_take_long_are_announced_and_then_shown() -> None:
    desk = SlowDesk()
    site = app(desk)
    first = ask(site, "/savings")
    assert first.status == 200
    assert "being added up" in first.text
    desk.let.set()
    for _ in range(200):
        if "being added up" not in (text := ask(site, "/savings").text):
            break
    assert "Energy, with PUE" in text or "Savings appear here" in text


def test_whoever_asks_again_meanwhile_starts_no_second_sum() -> None:
    let, calls = threading.Event(), []

    def add_up() -> str:
        calls.append(who.get())
        assert let.wait(20)
        return "sum"

    sums, token = Sums[str](0.01), who.set("ann")
    try:
        assert [sums.of("key", add_up) for _ in range(3)] == [None, None, None]
    finally:
        who.reset(token)
    let.set()
    for _ in range(2000):
        if (found := sums.of("key", add_up)) is not None:
            break
    assert (found, calls) == ("sum", ["ann"])


def test_sum_that_fails_is_told_once_and_tried_again() -> None:
    sums = Sums[str](10.0)
    with pytest.raises(ValueError, match="lost"):
        sums.of("key", lambda: _raise("lost"))
    assert sums.of("key", lambda: "found") == "found"


def test_too_many_at_once_are_told_to_come_again() -> None:
    let = threading.Event()

    def add_up() -> str:
        assert let.wait(20)
        return "sum"

    sums = Sums[str](0.0)
    assert [sums.of(key, add_up) for key in range(adding.MOST + 1)] == [None] * (adding.MOST + 1)
    let.set()
    late = Sums[str](10.0)
    assert late.of("another", add_up) == "sum"


def _raise(word: str) -> str:
    raise ValueError(word)
