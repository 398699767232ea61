"""The command line. `main` is the entry point; every command returns its exit code, or None for 0."""

import io
import os
import sys
from collections.abc import Sequence

HELP = "see `tidewatt --help`"


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits with its code; whatever goes wrong is one sentence on stderr."""
    if sys.platform != "linux":
        _complain("Tidewatt runs on Linux only: this system is " + sys.platform)
        raise SystemExit(2)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without these letters shows others
    code = _run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = _reader_left()
    raise SystemExit(code)


def _run(arguments: Sequence[str] | None) -> int:
    import typer

    from tidewatt.scheduler.cli.text import ReaderLeft
    from tidewatt.scheduler.errors import SchedulerError

    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["--system"]:
        os.environ["TIDEWATT_SYSTEM"] = "1"
        arguments = given[1:]
    elif given[:1] == ["--profile"] and len(given) > 1:
        os.environ["TIDEWATT_PROFILE"] = given[1]
        arguments = given[2:]
    try:
        from tidewatt.scheduler.cli.app import command

        code = command(arguments)(args=arguments, prog_name="tidewatt", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except SchedulerError as error:
        _complain(str(error))
        return error.exit_code
    except typer.TyperException as error:
        message = error.format_message().rstrip(".")
        _complain(f"{message}: {HELP}" if message else HELP)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except ReaderLeft:
        return _reader_left()
    except Exception as error:  # the last place: a traceback is for the log
        return _unexpected(error)


def _complain(sentence: str) -> None:
    sys.stderr.write(f"tidewatt: {sentence}\n")


def _reader_left() -> int:
    """The exit code of a command whose output nobody reads any more (`tidewatt queue | head -1`)."""
    # Python flushes stdout once more at its end, which would fail again, with a warning.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def _unexpected(error: Exception) -> int:
    from tidewatt.scheduler.cli.mishap import explain

    sentence, code = explain(error)
    _complain(sentence)
    return code
