"""The process of one try: reads what is asked as JSON, answers as JSON, and keeps nothing."""

import json
import os
import sys
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tidewatt.backends.clock import moment, time_ms
from tidewatt.backends.host import Gpu, Host
from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.shrinkage import Shrinker
from tidewatt.scheduler import config
from tidewatt.scheduler.errors import BadInput, SchedulerError
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.policies.rules import rules_of
from tidewatt.scheduler.settings import Settings
from tidewatt.scheduler.settings_record import restored
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.address import address
from tidewatt.scheduler.trial_file import standing
from tidewatt.scheduler.try_schema import TryReply, TryRequest
from tidewatt.scheduler.trying import difference
from tidewatt.scheduler.trying.history import history
from tidewatt.scheduler.trying.place import Place, place, reader
from tidewatt.scheduler.trying.replay import Remembering, last_observed_ms, replay

BEFORE, AFTER = timedelta(days=1), timedelta(days=61)  # windows are worked out so far around the history
AFTER_LAST = "come after the last observation of the grid"


def main() -> int:
    """Answers the one request on standard input."""
    with suppress(OSError):
        os.nice(10)
    asked = json.load(sys.stdin)
    try:
        answer = tried(asked).model_dump(mode="json")
    except SchedulerError as error:
        answer = {"error": str(error), "exit_code": error.exit_code}
    json.dump(answer, sys.stdout)
    return 0


def tried(asked: dict[str, Any]) -> TryReply:
    """The replay of what is asked: `request`, `in_force`, `host`, `home`, `now_ms`.

    Raises:
        BadInput: for a configuration that cannot be taken, or a history of which nothing can be replayed.
    """
    request = TryRequest.model_validate(asked["request"])
    now = moment(asked["now_ms"])
    span = now - timedelta(seconds=request.since_s), now
    wide = span[0] - BEFORE, span[1] + AFTER
    host = Host(**(asked["host"] | {"gpus": tuple(Gpu(**each) for each in asked["host"]["gpus"])}))
    paths = Paths(home=Path(asked["home"]), runtime=Path(asked["home"]))
    settings = restored(asked["in_force"])
    now_place = place(settings, rules_of(settings, ("the configuration in force", "")), host, wide)
    other = _other(request, settings, host, wide)
    known = config.grid(settings, paths)
    try:
        chain = Remembering(Shrinker(Chain([each.provider for each in known.chain.providers])))
        return _answer(request, (now_place, other), chain, paths, span)
    finally:
        known.archive.close()


def _answer(
    request: TryRequest,
    places: tuple[Place, Place],
    chain: Remembering,
    paths: Paths,
    span: tuple[datetime, datetime],
) -> TryReply:
    ends = [last_observed_ms(chain, each, span) for each in places]
    known = [each for each in ends if each is not None]
    if len(known) < len(ends):
        raise BadInput(
            f"what the grid really emitted since {span[0]:%Y-%m-%d %H:%M} UTC is not known of each region, so"
            " nothing can be replayed: name a source with [[source]]; `tidewatt doctor` shows what each tells"
        )
    until_ms = min([time_ms(span[1]), *known])
    store = Store(address(paths))
    try:
        found = history(store, time_ms(span[0]), time_ms(span[1]))
    finally:
        store.close()
    jobs = tuple(each for each in found.jobs if time_ms(each.ask.submitted) < until_ms)
    found.left_out[AFTER_LAST] += len(found.jobs) - len(jobs)
    if not jobs:
        left = "; ".join(f"{number} {why}" for why, number in (+found.left_out).items())
        raise BadInput(
            f"of the time since {span[0]:%Y-%m-%d %H:%M} UTC no job can be replayed"
            f"{f' ({left})' if left else ''}: look back further with --since"
        )
    replays = [replay(jobs, each, chain) for each in places]
    return difference.reply(jobs, replays[0], replays[1], span, +found.left_out, request.name)


def _other(request: TryRequest, in_force: Settings, host: Host, wide: tuple[datetime, datetime]) -> Place:
    """The configuration to try; where it names no zone, in that of the one in force."""
    with standing(request.text, request.name) as (loaded, folder):
        settings = loaded.settings
        if not settings.zone and in_force.zone:
            settings = settings.model_copy(update={"zone": in_force.zone})
        files = tuple(each.file for each in in_force.prices if each.file is not None)
        rules = rules_of(settings, (request.name, request.text))
        return place(settings, rules, host, wide, reader(request.files, folder, files))


if __name__ == "__main__":
    sys.exit(main())
