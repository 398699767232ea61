"""Which jobs an export is of: a job, an array, a project, an experiment, or all."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from tests.exports.made import group, job, report, total
from tests.unit.scheduler.cli.fake_daemon import FakeDaemon
from tidewatt.scheduler.accounting.report_schema import NotOver
from tidewatt.scheduler.array import Key
from tidewatt.scheduler.cli.exporting import Scope, model_card
from tidewatt.scheduler.client import Client
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.schemas import JobView

JOBS = [
    job(1),
    job(2, project="vision", labels={"experiment": "sweep"}, state="failed"),
    job(3, project="vision"),
    job(4, array=4, key="4_0", labels={"experiment": "sweep"}),
    job(5, array=4, array_task=1, key="4_1"),
]


class Answers:
    """What a daemon would answer, of a few jobs."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    def job(self, key: Key) -> dict[str, Any]:
        """The job of a number, or an array with its tasks."""
        found = [each for each in JOBS if each.array == 4] if str(key) == "4" else []
        if found:
            return {"id": 4, "jobs": list(map(_json, found))}
        return next(_json(each) for each in JOBS if each.key == str(key))

    def receipts(self, since_s: float | None = None, project: str | None = None) -> Iterator[dict[str, Any]]:
        """All of them, or those of a project."""
        self.asked.append((since_s, project))
        yield from (_json(each) for each in JOBS if project in (None, each.project))

    def report(self, since_s: float | None, by: str, baseline: str) -> dict[str, Any]:
        """A report of two groups."""
        self.asked.append((since_s, by, baseline))
        groups = [
            group(key, total(), jobs=count) for key, count in (("nlp", 3), ("vision", 2), ("(none)", 1))
        ]
        beside = NotOver(jobs=2, attempts=3)
        return report(groups=groups, by=by, baseline=baseline, not_over=beside).model_dump(mode="json")


def _json(view: JobView) -> dict[str, Any]:
    return view.model_dump(mode="json")


@pytest.fixture
def client() -> Client:
    return cast(Client, Answers())


@pytest.mark.parametrize(
    ("what", "grams", "runs"),
    [
        ("1", 800, "1 run."),
        ("4", 1600, "2 runs."),
        ("4_1", 800, "1 run."),
        ("vision", 1600, "2 runs, of them 1 failed or cancelled."),
        ("project:vision", 1600, "2 runs, of them 1 failed or cancelled."),
        ("sweep", 1600, "2 runs, of them 1 failed or cancelled."),
        ("experiment:sweep", 1600, "2 runs, of them 1 failed or cancelled."),
        ("experiment:array 4", 800, "1 run."),
    ],
)
def test_model_card_is_of_what_was_named(client: Client, what: str, grams: int, runs: str) -> None:
    text = model_card(client, what, "", "")
    assert f"emissions: {grams}\n" in text
    assert runs in text


@pytest.mark.parametrize("what", ["nothing", "project:sweep", "experiment:vision", "experiment:", ""])
def test_model_card_of_nothing_is_refused(client: Client, what: str) -> None:
    with pytest.raises(BadInput, match="nothing that ran has an account"):
        model_card(client, what, "", "")


def test_report_of_a_project_is_its_group_without_what_belongs_to_all(client: Client) -> None:
    found = Scope(60.0, "hypothetical", project="vision").report(client)
    assert (found.total.key, found.total.jobs, found.baseline) == ("vision", 2, "hypothetical")
    assert (found.by, found.own, found.hold_out) == ("none", None, None)
    assert found.not_over == NotOver(jobs=2, attempts=3, of="any project")
    assert cast(Answers, client).asked == [(60.0, "project", "hypothetical")]


def test_jobs_without_a_project_are_a_project(client: Client) -> None:
    assert Scope(project="").report(client).total.jobs == 1


def test_project_without_jobs_and_groups_within_one_are_refused(client: Client) -> None:
    with pytest.raises(BadInput, match="no job of the experiment 'x'"):
        Scope(experiment="x").report(client)
    with pytest.raises(BadInput, match="--by groups all jobs"):
        Scope(project="nlp").report(client, "user")


def test_receipts_are_those_of_the_experiment(client: Client) -> None:
    assert [each.key for each in Scope(experiment="sweep").receipts(client)] == ["2", "4_0"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            ["--training-type", "fine-tuning"],
            "--training-type is of the model card: give --hugging-face",
        ),
        (["--location", "Bonn"], "--location is of the model card: give --hugging-face, too"),
        (["--by", "month", "--by", "project"], "grouped by one word: choose one of month, project"),
    ],
)
def test_report_ignores_no_option_silently(
    tidewatt: Callable[..., Any], fake_daemon: FakeDaemon, given: list[str], told: str
) -> None:
    said = tidewatt("report", *given)
    assert (said.code, said.out) == (2, "")
    assert told in said.err


@pytest.mark.parametrize(
    ("scope", "subject"),
    [
        (Scope(), ""),
        (Scope(project="nlp"), "project nlp"),
        (Scope(project=""), "project (none)"),
        (Scope(experiment="sweep"), "experiment sweep"),
    ],
)
def test_page_of_some_jobs_says_of_which(scope: Scope, subject: str) -> None:
    assert scope.subject == subject
