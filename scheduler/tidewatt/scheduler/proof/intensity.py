"""The observed intensity of an account as it travels: integers, or a digest and how to get it again."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from tidewatt.backends.clock import time_ms
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Series, instant, stepped
from tidewatt.forecasting.terms import terms_of
from tidewatt.scheduler.proof.canonical import canonical, sha256

Observations = Callable[[str, str, datetime, datetime], Series | None]
FOLDER = "intensity/"
Question = tuple[str, str, int, int]  # zone, signal, from, to


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source answered to a question, as it is written down: None where it had nothing."""

    question: Question
    series: Series | None


class Recorder:
    """Observations that remember what was asked and answered."""

    def __init__(self, observations: Observations) -> None:
        self._observations = observations
        self._answers: dict[Question, Series | None] = {}

    def __call__(self, zone: str, signal: str, start: datetime, end: datetime) -> Series | None:
        """Asks on, and writes down the answer."""
        question = zone, str(signal), time_ms(start), time_ms(end)
        if question not in self._answers:
            self._answers[question] = self._observations(zone, signal, start, end)
        return self._answers[question]

    def answers(self) -> tuple[Answer, ...]:
        """All answers, in the order of the questions."""
        return tuple(Answer(question, self._answers[question]) for question in sorted(self._answers))


def written(answers: Iterable[Answer]) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """What is told of each answer, and the files with those that may be handed on."""
    told, files = [], {}
    for zone_answer in answers:
        zone, signal, start_ms, end_ms = zone_answer.question
        entry: dict[str, Any] = {"zone": zone, "signal": signal, "from_ms": start_ms, "to_ms": end_ms}
        series = zone_answer.series
        if series is not None:
            content = content_of(series)
            name = f"{FOLDER}{sha256(content)[:16]}.json"
            terms = terms_of(series.source)
            entry |= _kind_form(series) | {
                "sha256": sha256(content),
                "steps": len(series.steps.start_ms),
                "terms": terms.text,
            }
            if terms.redistributable:
                files[name] = content
                entry["file"] = name
        told.append(entry)
    return told, files


def content_of(series: Series) -> bytes:
    """A series in integers: Unix milliseconds, milligrams per kWh; steps without a value are in `unknown`."""
    known = np.isfinite(series.steps.gco2_per_kwh)
    mg = np.rint(np.where(known, series.steps.gco2_per_kwh, 0) * 1000).astype(np.int64)
    return canonical(
        {
            **_kind_form(series),
            "zone": series.zone,
            "start_ms": series.steps.start_ms.tolist(),
            "end_ms": series.steps.end_ms.tolist(),
            "mg_per_kwh": mg.tolist(),
            "unknown": np.flatnonzero(~known).tolist(),
        }
    )


def series_of(form: Mapping[str, Any]) -> Series:
    """The series that `content_of` wrote.

    Raises:
        ValueError, KeyError, TypeError, ForecastError: where it is none.
    """
    start_ms, end_ms = (np.array(form[name], dtype=np.int64).reshape(-1) for name in ("start_ms", "end_ms"))
    gco2_per_kwh = np.array(form["mg_per_kwh"], dtype=np.int64).reshape(-1) / 1000
    gco2_per_kwh[np.array(form["unknown"], dtype=np.int64)] = np.nan
    return Series(form["zone"], kind_of(form), form["source"], stepped(start_ms, end_ms, gco2_per_kwh))


class Replayed:
    """Observations as a bundle answers them; `missing` are those that it only has the digests of."""

    def __init__(
        self, told: Sequence[Mapping[str, Any]], own: Mapping[str, Series], found: Mapping[str, Series]
    ) -> None:
        """`own` are the bundle's series by file, `found` the user's by digest."""
        self._answers: dict[Question, Series | None] = {}
        self.missing: list[Mapping[str, Any]] = []
        for entry in told:
            question = entry["zone"], entry["signal"], entry["from_ms"], entry["to_ms"]
            if "sha256" not in entry:
                self._answers[question] = None
            elif "file" in entry:
                self._answers[question] = own[entry["file"]]
            elif entry["sha256"] in found:
                self._answers[question] = found[entry["sha256"]]
            else:
                self.missing.append(entry)
                self._answers[question] = None

    def __call__(self, zone: str, signal: str, start: datetime, end: datetime) -> Series | None:
        """The recorded answer; None for one that is missing.

        Raises:
            ValueError: where that was not asked.
        """
        question = zone, str(signal), time_ms(start), time_ms(end)
        if question not in self._answers:
            raise ValueError(f"the intensity of {zone} from {start:%Y-%m-%d %H:%M} UTC on is not in it")
        return self._answers[question]


def recipe(entry: Mapping[str, Any]) -> str:
    """In words, how to get a series that a bundle only has the digest of."""
    start, end = (f"{instant(entry[name]):%Y-%m-%dT%H:%MZ}" for name in ("from_ms", "to_ms"))
    kind = f"{entry['signal']} {entry['basis']} {entry['gas']}, {entry['boundary']}"
    return f"{entry['source']}: {kind} of {entry['zone']}, steps that overlap {start} to {end}"


def _kind_form(series: Series) -> dict[str, Any]:
    kind = series.kind
    return {
        "source": series.source,
        "signal": str(kind.signal),
        "basis": str(kind.basis),
        "boundary": str(kind.boundary),
        "gas": kind.gas,
    }


def kind_of(form: Mapping[str, Any]) -> Kind:
    """The kind of series that is told."""
    return Kind(Signal(form["signal"]), Basis(form["basis"]), Boundary(form["boundary"]), form["gas"])
