"""`verify` and `ledger`: checks claims, of others and of one's own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidewatt.scheduler.accounting.quantity import counted
from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.session import daemon, daemon_paths, own_paths
from tidewatt.scheduler.cli.text import painted, say, say_json, shown, write
from tidewatt.scheduler.errors import BadInput

if TYPE_CHECKING:
    from tidewatt.scheduler.proof.chain import Tip
    from tidewatt.scheduler.proof.outcome import Outcome

_STYLES = {"holds": "green", "broken": "red", "open": "yellow"}
_WORDS = {"holds": "ok", "broken": "WRONG", "open": "open"}
MOST_MEMORY = 8 * 1024**3  # bytes of address space; what a report of 10,000 jobs takes is in docs/proof.md
PARTS = ("head", "key", "check")


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle of a receipt or a report.")],
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="The signer's public key, from its owner.")
    ] = None,
    intensity: Annotated[
        list[Path] | None,
        typer.Option(
            "--intensity",
            metavar="FILE",
            help="Your own recording of the grid, or a folder of them: CSV or Parquet.",
        ),
    ] = None,
    head: Annotated[
        Path | None,
        typer.Option(
            "--head", metavar="FILE", help="A head of that ledger that you got earlier: `ledger head --json`."
        ),
    ] = None,
    outputs: Annotated[
        list[Path] | None,
        typer.Option("--output", metavar="FILE", help="What the job made, to compare with what is bound."),
    ] = None,
    as_json: given.AsJson = False,
) -> int:
    """Check every number of a bundle, offline; exit 1 if one does not hold."""
    from tidewatt.scheduler.proof.keys import own_key, verifying_key
    from tidewatt.scheduler.proof.opening import Trust
    from tidewatt.scheduler.proof.outputs import read
    from tidewatt.scheduler.proof.verify import UNPROVEN
    from tidewatt.scheduler.proof.verify import verify as check

    expected = None if key is None else verifying_key(key)
    trust = Trust(expected, own_key(own_paths().keys), None if head is None else _seen(head))
    made = [read(path) for path in outputs or ()]
    try:
        with _limited_memory():
            outcome = check(file, trust, intensity or (), made)
    except MemoryError:
        raise BadInput(f"{file} needs more memory than any bundle: do not trust it") from None
    if as_json:
        from dataclasses import asdict

        say_json(asdict(outcome) | {"sound": outcome.sound, "cannot_be_proven": list(UNPROVEN)})
        return 0 if outcome.sound else 1
    if outcome.kind:
        say(painted(shown(f"{outcome.kind} {outcome.subject}"), "bold"))
    for finding in outcome.findings:
        word = painted(f"{_WORDS[finding.verdict]:<5}", _STYLES[finding.verdict])
        say(f"{word}  {finding.subject}: {shown(finding.found)}")
    for series in outcome.needs_key:
        say(f"{painted('open ', 'yellow')}  needs your own key: {shown(series)}")
    say("no bundle can prove")
    for sentence in UNPROVEN:
        say(f"  {sentence}")
    say(_end(outcome))
    return 0 if outcome.sound else 1


def _end(outcome: "Outcome") -> str:
    """The last line: what it comes to."""
    wrong = sum(finding.verdict == "broken" for finding in outcome.findings)
    if wrong:
        return painted(f"{counted(wrong, 'check')} failed", "red")
    if not outcome.vouched:
        return painted("nothing is wrong with it, but nobody here vouches for who signed it", "yellow")
    if outcome.needs_key or outcome.partial:
        return painted("nothing is wrong in what could be checked", "yellow")
    return painted("nothing is wrong", "green")


def _seen(path: Path) -> "Tip":
    """The head in a file that `ledger head --json` wrote."""
    import json

    from tidewatt.scheduler.proof.chain import Tip

    try:
        told = json.loads(path.read_bytes())
        return Tip(int(told["seq"]), str(told["hash"]))
    except OSError as error:
        raise BadInput(f"the head {path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadInput(f"{path} holds no head: `tidewatt ledger head --json` writes one") from None


@contextmanager
def _limited_memory() -> Iterator[None]:
    """A file that was made to exhaust this machine ends in a MemoryError instead."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wide = soft == resource.RLIM_INFINITY or soft > MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY if wide else soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def ledger(
    part: Annotated[
        str,
        typer.Argument(metavar="WHAT", help="head: sign and show it; key: the public key; check: all of it."),
    ] = "head",
    as_json: given.AsJson = False,
) -> int:
    """Show the signed head of all events, the key that signs, or check the whole chain."""
    match part:
        case "head":
            return _head(as_json)
        case "key":
            return _key(as_json)
        case "check":
            return _check(as_json)
        case other:
            raise BadInput(f"there is no ledger {other!r}: choose from {', '.join(PARTS)}")


def _head(as_json: bool) -> int:
    import json

    answer: dict[str, Any] = json.loads(daemon().fetch("ledger/head"))
    if as_json:
        say_json(answer)
        return 0
    say(f"{answer['seq']} events, head {answer['hash']}")
    say(f"signed with key {answer['fingerprint']}")
    for trouble in answer["troubles"]:
        say(f"{painted('WRONG', 'red')}  {trouble}")
    return 1 if answer["troubles"] else 0


def _key(as_json: bool) -> int:
    from tidewatt.scheduler.proof.keys import own_key

    found = own_key(own_paths().keys)
    if found is None:
        raise BadInput("there is no key here yet: the daemon makes it at its first start, `tidewatt up`")
    if as_json:
        say_json({"fingerprint": found.fingerprint, "key": found.pem.decode()})
    else:
        write(found.pem.decode())
    return 0


def _check(as_json: bool) -> int:
    """Follows the whole chain in the store, and compares it with every signed head; the daemon may run."""
    from tidewatt.scheduler.proof.keys import own_key
    from tidewatt.scheduler.store import Store
    from tidewatt.scheduler.store.address import address
    from tidewatt.scheduler.store.ledger import examined

    place = daemon_paths() if os.geteuid() == 0 else own_paths()  # a shared ledger is root's to check
    where = address(place)
    if isinstance(where, Path) and not where.exists():
        raise BadInput(f"there is no ledger in {place.home}: `tidewatt up` begins one")
    store = Store(where)
    try:
        found = examined(store, place.heads, own_key(place.keys))
    finally:
        store.close()
    if as_json:
        known = {"wrong": list(found.wrong), "purged": list(map(str, found.purges))}
        say_json({"events": found.events, "heads": found.heads, **known})
    else:
        say(f"{counted(found.events, 'event')}, {counted(found.heads, 'signed head')}")
        for each in found.purges:
            say(f"  names, commands or sentences of some events were purged {each}")
        for sentence in found.wrong:
            say(f"{painted('WRONG', 'red')}  {sentence}")
        if not found.wrong:
            say(painted("nothing is wrong", "green"))
    return 1 if found.wrong else 0
