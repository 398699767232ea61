"""Energy that a site's Prometheus knows of a job: counters or power of exporters such as Kepler and DCGM."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from typing import Annotated, Literal

import requests
from pydantic import BaseModel, ConfigDict, Field

from tidewatt.backends.backend import BackendError

_WORD = re.compile(r"^[A-Za-z0-9._-]*$")
_MOST_BYTES = 64 * 2**20
_MOST_POINTS = 10_000  # Prometheus itself refuses more than 11,000 points a series
_TO_UJ = {"J": 1e6, "mJ": 1e3, "W": 1e6, "mW": 1e3}  # power: microjoules a second


class EnergySeries(BaseModel):
    """One query whose answer is a job's energy or power; `$namespace`, `$pod` and `$node` are filled in.

    `unit` J or mJ: a cumulative counter; W or mW: a draw, which is integrated between its samples and
    therefore `modelled`. All series of the answer are added. `source` names the exporter and what its
    numbers cover ("Kepler, CPU package by its share of CPU time").
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    component: Literal["gpu", "cpu", "dram", "node"]
    query: Annotated[str, Field(min_length=1, max_length=2000)]
    unit: Literal["J", "mJ", "W", "mW"]
    source: Annotated[str, Field(min_length=1, max_length=200)]


class PrometheusOptions(BaseModel):
    """Where a site's metrics are asked for. The token, if one is needed, comes from a variable or a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str, Field(pattern=r"^https?://[^\s@]+$")]
    token_env: str = ""
    token_file: str = ""
    step_s: Annotated[int, Field(ge=1, le=300)] = 15
    series: Annotated[tuple[EnergySeries, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Energy:
    """What a query told: cumulative microjoules since the first sample, by real Unix milliseconds."""

    series: EnergySeries
    points: tuple[tuple[int, int], ...]

    @property
    def counted(self) -> bool:
        """Whether a counter told it, not a power that was integrated here."""
        return self.series.unit in ("J", "mJ")


def energies(
    options: PrometheusOptions,
    words: Mapping[str, str],
    start_s: float,
    end_s: float,
    timeout_s: float = 20.0,
) -> list[Energy]:
    """What each query knows of the stretch; one without at least two samples there is left out.

    Raises:
        BackendError: Prometheus does not answer, or not as documented; transient where it may later.
    """
    for name, word in words.items():
        if not _WORD.match(word):
            raise BackendError(f"the {name} {word!r} cannot stand in a query")
    step_s = max(options.step_s, math.ceil((end_s - start_s) / _MOST_POINTS))
    found = []
    for each in options.series:
        query = Template(each.query).safe_substitute(words)
        parameters = {"query": query, "start": f"{start_s:.3f}", "end": f"{end_s:.3f}", "step": str(step_s)}
        matrix = _asked(options, parameters, timeout_s)
        points = _summed([_cumulative(samples, each.unit, step_s) for samples in matrix])
        if len(points) > 1:
            found.append(Energy(each, points))
    return found


def _asked(
    options: PrometheusOptions, parameters: Mapping[str, str], timeout_s: float
) -> list[list[tuple[float, float]]]:
    url = f"{options.url.rstrip('/')}/api/v1/query_range"
    try:
        answer = requests.post(
            url, data=parameters, headers=_headers(options), timeout=timeout_s, allow_redirects=False
        )
    except requests.RequestException as error:
        raise BackendError(
            f"{options.url} does not answer: {type(error).__name__}", transient=True
        ) from error
    if answer.status_code in (429, 503) or answer.status_code >= 500:
        raise BackendError(f"{options.url} answers {answer.status_code}", transient=True)
    if len(answer.content) > _MOST_BYTES:
        raise BackendError(f"{options.url} answers with more than {_MOST_BYTES >> 20} MB: widen step_s")
    try:
        form = answer.json()
        if form["status"] != "success":
            raise BackendError(f"{options.url} refuses the query: {form.get('error', 'no reason given')}")
        if form["data"]["resultType"] != "matrix":
            raise BackendError(f"{options.url} answers with a {form['data']['resultType']}, not with series")
        return [_samples(series["values"]) for series in form["data"]["result"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BackendError(f"{options.url} answers {answer.status_code}, not as Prometheus does") from error


def _headers(options: PrometheusOptions) -> dict[str, str]:
    token = os.environ.get(options.token_env, "") if options.token_env else ""
    if options.token_file:
        try:
            with open(options.token_file, encoding="utf-8") as file:
                token = file.read().strip()
        except OSError as error:
            raise BackendError(f"{options.token_file} cannot be read: {error.strerror}") from error
    return {"Authorization": f"Bearer {token}"} if token else {}


def _samples(values: list[list[object]]) -> list[tuple[float, float]]:
    """Times and finite values that are not negative; what else stands there is not known."""
    samples = [(float(str(at)), float(str(value))) for at, value in values]
    return [(at, value) for at, value in samples if math.isfinite(value) and value >= 0]


def _cumulative(samples: list[tuple[float, float]], unit: str, step_s: float) -> dict[int, float]:
    """Microjoules since the first sample. A counter that fell began anew at zero, as Prometheus takes it."""
    total, found, factor = 0.0, dict[int, float](), _TO_UJ[unit]
    for index, (at, value) in enumerate(samples):
        if index:
            before_s, before = samples[index - 1]
            if unit in ("J", "mJ"):
                total += (value - before if value >= before else value) * factor
            elif at - before_s <= 4 * step_s:  # a longer hole is not known: its energy is left out
                total += (value + before) / 2 * (at - before_s) * factor
        found[round(at * 1000)] = total
    return found


def _summed(series: list[dict[int, float]]) -> tuple[tuple[int, int], ...]:
    """All series as one, at the times that any has; one that has not begun or is over adds what it has."""
    times = sorted({at for each in series for at in each})
    points, latest = [], [0.0] * len(series)
    for at in times:
        latest = [each.get(at, last) for each, last in zip(series, latest, strict=True)]
        points.append((at, round(sum(latest))))
    return tuple(points)
