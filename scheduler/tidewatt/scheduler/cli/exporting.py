"""What `report` and `compare` write in the formats of others."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidewatt.scheduler.array import parse_key
from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.files import STDOUT, put, put_by, refuse_file
from tidewatt.scheduler.cli.session import daemon, now_of
from tidewatt.scheduler.cli.text import say, say_json
from tidewatt.scheduler.client import Client, Json
from tidewatt.scheduler.errors import BadInput

if TYPE_CHECKING:
    from tidewatt.scheduler.accounting.report_schema import NotOver, Report
    from tidewatt.scheduler.exports.charts import GridStep
    from tidewatt.scheduler.exports.facts import Facts

LONGEST_GRID_D = 92
_ENDINGS: dict[str, tuple[str, ...]] = {
    "bundle": (".zip",),
    "html": (".html", ".htm"),
    "badge": (".svg",),
    "codecarbon": (".csv",),
    "receipts": (".csv", ".parquet"),
    "paper": (".txt", ".md", ".tex"),
    "hours": (".csv", ".parquet"),
}


@dataclass(frozen=True, slots=True)
class Files:
    """Where each format goes; `-` is stdout, None not wanted."""

    bundle: Path | None = None
    html: Path | None = None
    badge: Path | None = None
    codecarbon: Path | None = None
    receipts: Path | None = None
    paper: Path | None = None
    hours: Path | None = None

    def wanted(self) -> list[str]:
        """The formats that were asked for."""
        return [each.name for each in fields(self) if getattr(self, each.name) is not None]

    def check(self) -> None:
        """Refuses what could not be written, before any work."""
        for name in self.wanted():
            refuse_file(getattr(self, name), _ENDINGS[name])
        if sum(getattr(self, name) == STDOUT for name in self.wanted()) > 1:
            raise BadInput("only one of the formats can go to stdout: give the others a file")


@dataclass(frozen=True, slots=True)
class Scope:
    """Which jobs: those that ended in the last seconds, of a project or an experiment, or all."""

    since_s: float | None = None
    baseline: str = "feasible"
    project: str | None = None
    experiment: str | None = None

    @property
    def subject(self) -> str:
        """Whose jobs, for a heading; "" of all."""
        if self.project is not None:
            return f"project {self.project or '(none)'}"
        return "" if self.experiment is None else f"experiment {self.experiment}"

    def report(self, client: Client, by: str = "none") -> "Report":
        """The report of these jobs."""
        from tidewatt.scheduler.accounting.report_schema import Report

        name, word = (
            (self.project, "project") if self.project is not None else (self.experiment, "experiment")
        )
        if name is None:
            return Report.model_validate(client.report(self.since_s, by, self.baseline))
        if by != "none":
            raise BadInput(f"--by groups all jobs: leave out --{word}, or --by")
        whole = Report.model_validate(client.report(self.since_s, word, self.baseline))
        group = next((each for each in whole.groups if each.key == (name or "(none)")), None)
        if group is None:
            raise BadInput(f"no job of the {word} {name!r} ran and ended in this time")
        # What the scheduler used and the hold-out are of all jobs, and of none in particular.
        beside = {"own": None, "hold_out": None, "not_over": _of_any(whole, word)}
        return whole.model_copy(update={"by": "none", "groups": (group,), "total": group, **beside})

    def receipts(self, client: Client) -> list["Facts"]:
        """The receipts of these jobs, newest first."""
        found = _facts(list(client.receipts(self.since_s, self.project)))
        return [each for each in found if self.experiment in (None, each.experiment)]


def _of_any(whole: "Report", word: str) -> "NotOver | None":
    """The jobs that are not over, whosever they are: what a job belongs to may change until it ends."""
    return whole.not_over and whole.not_over.model_copy(update={"of": f"any {word}"})


def export(client: Client, scope: Scope, files: Files) -> None:
    """Writes each format that was asked for."""
    report = scope.report(client) if {"html", "badge", "paper"} & set(files.wanted()) else None
    receipts = (
        scope.receipts(client) if {"html", "paper", "codecarbon", "receipts"} & set(files.wanted()) else []
    )
    if files.codecarbon is not None:
        from tidewatt.scheduler.exports import codecarbon

        put(files.codecarbon, codecarbon.csv_text(receipts))
    if files.receipts is not None:
        _put_table(files.receipts, receipts)
    if report is not None and files.badge is not None:
        from tidewatt.scheduler.exports import badge

        put(files.badge, badge.svg(report))
    if report is not None and files.paper is not None:
        put(files.paper, _paper(files.paper, report, receipts))
    if report is not None and files.html is not None:
        put(files.html, _page(client, scope, report, receipts))
    if files.bundle is not None:
        from tidewatt.scheduler.cli.receipts import report_bundle

        report_bundle(client, scope.since_s, "none", scope.baseline, files.bundle)
    if files.hours is not None:
        from tidewatt.scheduler.cli.hours import write_hours

        write_hours(client, scope.since_s, files.hours)


def model_card(client: Client, what: str, training_type: str, location: str) -> str:
    """The model-card metadata of a job, an array, `project:NAME` or `experiment:NAME`."""
    from tidewatt.scheduler.exports import hugging_face

    return hugging_face.yaml_text(_named(client, what), training_type, location)


def compare(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CodeCarbon's emissions.csv.")],
    since: Annotated[
        str | None, typer.Option(metavar="30d", help="Look only at jobs that ended within this time.")
    ] = None,
    utc: Annotated[bool, typer.Option("--utc", help="Its times are UTC, not this machine's.")] = False,
    as_json: given.AsJson = False,
) -> None:
    """Set CodeCarbon's accounts beside ours, with what makes each difference."""
    from tidewatt.scheduler.exports import comparison, their_csv
    from tidewatt.scheduler.when import parse_duration

    runs = their_csv.read(file, UTC if utc else None)
    since_s = None if since is None else parse_duration(since, "--since").total_seconds()
    pairs = comparison.compare(runs, Scope(since_s).receipts(daemon()))
    if as_json:
        say_json({"pairs": [pair.model_dump(mode="json") for pair in pairs]})
        return
    for line in comparison.lines(pairs):
        say(line)


def _named(client: Client, what: str) -> list["Facts"]:
    word, sign, name = what.partition(":")
    found: list[Facts] = []
    if sign and word == "project":
        found = Scope(project=name).receipts(client)
    elif sign and word == "experiment":
        found = Scope(experiment=name).receipts(client) if name else []
    elif what.replace("_", "").isdigit():
        answer = client.job(parse_key(what))
        found = _facts([job for job in answer.get("jobs", [answer]) if job["settlement"] is not None])
    elif what:
        found = Scope(project=what).receipts(client) or Scope(experiment=what).receipts(client)
    if not found:
        raise BadInput(
            f"nothing that ran has an account for {what!r}: name a job, project:NAME or experiment:NAME"
        )
    return found


def _facts(jobs: Sequence[Json]) -> list["Facts"]:
    from tidewatt.scheduler.exports.facts import facts
    from tidewatt.scheduler.schemas import JobView

    return facts(JobView.model_validate(job) for job in jobs)


def _put_table(path: Path, receipts: Sequence["Facts"]) -> None:
    from tidewatt.scheduler.exports import table

    if path.suffix == ".parquet":
        put_by(path, lambda target: table.write_parquet(receipts, target))
    else:
        put(path, table.csv_text(receipts))


def _paper(path: Path, report: "Report", receipts: Sequence["Facts"]) -> str:
    """One form by the file's ending; all three for stdout."""
    from tidewatt.scheduler.exports import paper

    forms = {".txt": paper.plain_text, ".md": paper.markdown, ".tex": paper.latex}
    if path != STDOUT:
        return forms[path.suffix](report, receipts)
    titles = {".txt": "Text", ".md": "Markdown", ".tex": "LaTeX"}
    return "\n".join(f"{titles[each]}\n\n{form(report, receipts)}" for each, form in forms.items())


def _page(client: Client, scope: Scope, report: "Report", receipts: Sequence["Facts"]) -> str:
    from tidewatt.scheduler.accounting.equivalence import equivalences
    from tidewatt.scheduler.exports.page import GROUPED, Contents, html

    grouped: list[Report] = []
    if scope.project is None and scope.experiment is None:
        grouped = [scope.report(client, by) for by in GROUPED]
    made_at: datetime = now_of(client.status())
    average = [each.emissions_g for each in report.total.signals if each.signal == "average"]
    likenesses = equivalences(average[0]) if len(average) == 1 else ()
    grid, zone = _grid(client, receipts)
    contents = Contents(report, grouped, receipts, made_at, likenesses, grid, zone, subject=scope.subject)
    return html(contents)


def _grid(client: Client, receipts: Sequence["Facts"]) -> tuple[list["GridStep"], str]:
    """The grid while jobs ran, by the signal that most reports are read by; nothing where none is known."""
    from tidewatt.scheduler.exports import grid_use

    when = grid_use.span(receipts, timedelta(days=LONGEST_GRID_D))
    for signal in ("average", "marginal"):
        zone = grid_use.main_zone(receipts, signal)
        if zone and when is not None:
            found = client.observed(zone, signal, *when)
            hours = [(datetime.fromtimestamp(ms / 1000, UTC), level) for ms, level in found["steps"]]
            others = grid_use.other_zones(receipts, signal, zone)
            aside = f"; most energy was used here, and not drawn are {', '.join(others)}" if others else ""
            name = f"{found['zone_name']} ({zone}), {signal}{aside}"
            return grid_use.steps(hours, receipts, zone, signal), name
    return [], ""
