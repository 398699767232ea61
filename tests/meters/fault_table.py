"""Writes the fault table of docs/metering.md.

Run it by `python -m tests.meters.fault_table`; it needs gcc.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.meters.fault_case import Case
from tests.meters.fault_cases import GPU_CASES, HOST_CASES, RAPL_CASES
from tests.meters.run import run_case
from tests.meters.verdict import Verdict
from tests.nvml.fake_nvml import build, load_here

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metering.md"
BEGIN, END = "<!-- faults -->\n", "<!-- end of faults -->"
GROUPS = {"GPUs": GPU_CASES, "CPUs and memory": RAPL_CASES, "The host and the meter": HOST_CASES}
PARTS = {"gpu": "GPU", "cpu": "CPU", "dram": "DRAM"}


def row(case: Case, part: str, verdict: Verdict) -> str:
    """One line of the table."""
    name = case.name if len(case.expect) == 1 else f"{case.name}: {PARTS[part]}"
    told = "not known" if verdict.hows == "missing" else f"{verdict.ours_j:,.0f} J"
    if verdict.error is None:
        whole = verdict.ours_j / verdict.truth_j - 1
        error = "" if verdict.hows == "missing" else f"{_plain(100 * whole, 1):.1f} %"
    else:
        error = f"{_plain(100 * verdict.error, 2):.2f} %"
    return f"| {name} | {verdict.truth_j:,.0f} J | {told} | {error} | {verdict.classed} |"


def _plain(percent: float, digits: int) -> float:
    """Without the sign of a zero."""
    return round(percent, digits) + 0.0


def table(run: Callable[[Case], dict[str, Verdict]]) -> str:
    """All groups, in Markdown, by what `run` says of each case."""
    lines = []
    for title, cases in GROUPS.items():
        lines += ["", f"### {title}", "", "| what happens | truth | Tidewatt | error | class |"]
        lines.append("| --- | ---: | ---: | ---: | --- |")
        for case in cases:
            lines += [row(case, part, found) for part, found in run(case).items()]
    return "\n".join(lines[1:]) + "\n\n"


def run_apart(case: Case, folder: Path, library: Path | None) -> dict[str, Verdict]:
    """The verdicts on a case that is run in a new folder within `folder`; sets FAKE_NVML."""
    own = Path(tempfile.mkdtemp(dir=folder))
    os.environ["FAKE_NVML"] = str(own / "fake_nvml.state")
    return run_case(case, own, library)


def shown() -> str:
    """The table as it stands on the page."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    """Puts the table as it is now into the page."""
    with tempfile.TemporaryDirectory() as name:
        library = build(Path(name))
        load_here(library)
        found = table(lambda case: run_apart(case, Path(name), library))
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + found + END + rest.partition(END)[2])
    sys.stdout.write(found)


if __name__ == "__main__":
    main()
