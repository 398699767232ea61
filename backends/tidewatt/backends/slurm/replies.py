"""What Slurm's clients say, from their text formats, which are the same in releases 22.05 to 26.05."""

from collections.abc import Iterator
from dataclasses import dataclass

ROW = ("JobID", "State", "RestartCnt", "SubmitTime", "StartTime", "EndTime", "Reason", "Comment")
FORMAT = ",".join(f"{name}:|" for name in ROW)  # of squeue -O
ACCOUNT = ("JobIDRaw", "State", "ExitCode", "Submit", "Eligible", "Start", "End", "Comment")  # of sacct -o


@dataclass(frozen=True, slots=True)
class Row:
    """A job as squeue or sacct shows it; times in Unix seconds, None where not known."""

    number: str
    state: str  # "PENDING", "CANCELLED by 0" is "CANCELLED"
    restarts: int = 0
    submitted_s: int | None = None
    started_s: int | None = None
    ended_s: int | None = None
    reason: str = ""
    comment: str = ""
    exit_code: int | None = None
    signal: int | None = None
    eligible_s: int | None = None


def queue(text: str) -> dict[str, Row]:
    """The rows of `squeue -h -O FORMAT`, by job number; lines that are none are left out."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|", len(ROW) - 1)]
        if len(cells) != len(ROW) or not cells[0].isdecimal():
            continue
        number, state, restarts, submitted, started, ended, reason, comment = cells
        found[number] = Row(
            number,
            state,
            int(restarts) if restarts.isdecimal() else 0,
            _seconds(submitted),
            _seconds(started),
            _seconds(ended),
            "" if reason == "None" else reason,
            _comment(comment.rstrip("|")),
        )
    return found


def accounts(text: str) -> Iterator[Row]:
    """The rows of `sacct -n -P -o ACCOUNT`; of a job that was queued again each time is a row."""
    for line in text.splitlines():
        cells = line.split("|", len(ACCOUNT) - 1)
        if len(cells) != len(ACCOUNT) or not cells[0].isdecimal():
            continue
        number, state, code, submitted, eligible, started, ended, comment = cells
        exit_code, _, number_of_signal = code.partition(":")
        yield Row(
            number,
            state.partition(" ")[0].rstrip("+"),
            0,
            _seconds(submitted),
            _seconds(started),
            _seconds(ended),
            "",
            _comment(comment),
            int(exit_code) if exit_code.isdecimal() else None,
            int(number_of_signal) if number_of_signal.isdecimal() and number_of_signal != "0" else None,
            _seconds(eligible),
        )


def number(text: str) -> str:
    """The job's number from what `sbatch --parsable` said; "" where there is none."""
    for line in reversed(text.splitlines()):
        first = line.strip().partition(";")[0]
        if first.isdecimal():
            return first
    return ""


def pairs(line: str) -> dict[str, str]:
    """The `Name=value` words of a line of `scontrol -o show`."""
    found: dict[str, str] = {}
    for word in line.split():
        name, equals, value = word.partition("=")
        if equals:
            found.setdefault(name, value)
    return found


def _comment(text: str) -> str:
    return "" if text in ("(null)", "None") else text


def _seconds(text: str) -> int | None:
    return int(text) if text.isdecimal() and int(text) > 0 else None
