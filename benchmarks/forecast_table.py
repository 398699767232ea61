"""The table of docs/forecasting.md: what forecasts reach, against what they must reach.

    python benchmarks/forecast_table.py [--stored] [DATA]

Runs the benchmarks that the table is made of, one after the other (hours on two cores the first time, as
each zone's model is trained; they keep what they trained), and writes what they found between the markers of
docs/forecasting.md, with dates and commits. With --stored nothing runs: their last results are taken.
Exits with 1 where a figure is missing or falls short of its goal; the table says so, too.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks.results import Results, Row, kept  # noqa: E402  # a script finds its neighbours only by path

DOCUMENT = ROOT / "docs" / "forecasting.md"
BEGIN, END = "<!-- benchmarks/forecast_table.py writes from here -->", "<!-- to here -->"
NAMES = ("forecast_history", "forecast_weather", "profile_world", "forecast_marginal", "forecast_speed")


def table(found: dict[str, Results | None]) -> str:
    """The table in Markdown, and what each part of it was made by."""
    lines = ["| on | against | reach | reached | |", "| --- | --- | --- | --- | --- |"]
    for results in found.values():
        lines += [_line(row) for row in ([] if results is None else results.rows)]
    lines.append("")
    lines += [_origin(name, results) for name, results in found.items()]
    return "\n".join(lines)


def written(document: str, text: str) -> str:
    """The document with `text` between its markers."""
    head, begin, rest = document.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{DOCUMENT} lacks the lines {BEGIN!r} and {END!r}")
    return f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}"


def shortcomings(found: dict[str, Results | None]) -> Iterator[str]:
    """What is missing, and what falls short."""
    for name, results in found.items():
        if results is None:
            yield f"benchmarks/{name}.py has not run here"
        elif not results.complete:
            yield f"benchmarks/{name}.py has run for a part only: its rows are left out"
        else:
            for row in results.rows:
                if row.met is False:
                    yield f"missed: {row.on}, against {row.against}: {row.reached} (goal: {row.goal})"


def main(arguments: Sequence[str]) -> int:
    """Writes the table; 1 where something is missing or missed."""
    given = [argument for argument in arguments if not argument.startswith("--")]
    if "--stored" not in arguments:
        for name in NAMES:
            script = ROOT / "benchmarks" / f"{name}.py"
            if script.exists():
                print(f"benchmarks/{name}.py", flush=True)
                subprocess.run([sys.executable, str(script), *given], cwd=ROOT, check=False)
    found = {name: kept(name) for name in NAMES}
    whole = {name: results if results and results.complete else None for name, results in found.items()}
    text = table(whole)
    print(text)
    DOCUMENT.write_text(written(DOCUMENT.read_text(), text))
    short = list(shortcomings(found))
    for line in short:
        print(line, file=sys.stderr)
    return int(bool(short))


def _line(row: Row) -> str:
    verdict = {True: "reached", False: "**missed**", None: "for information"}[row.met]
    cells = (row.on, row.against, row.goal, row.reached, verdict)
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"


def _origin(name: str, results: Results | None) -> str:
    if results is None:
        return f"- `benchmarks/{name}.py`: not run"
    return f"- `{results.command}`: {results.date}, commit {results.commit}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
