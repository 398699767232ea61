"""A real daemon tells a real web hook what became of jobs, and no secret is seen anywhere on the way."""

from pathlib import Path
from typing import Any

from tests.acceptance.conftest import House
from tests.notices.sinks import Sink, web_hook

TOKEN = "s3cret-token"


def _config(hook: Sink, events: str) -> str:
    return f"""
zone = "DE"
[[region]]
name = "desk"
cpus = 4
[notify]
urls = ["json://127.0.0.1:{hook.port}/{TOKEN}"]
events = {events}
"""


def _titles(hook: Sink) -> list[Any]:
    return [each["title"] for each in hook.came]


def test_people_are_told_what_they_asked_for_and_nothing_else(house: House) -> None:
    with web_hook() as hook:
        house.up(config=_config(hook, '["finished", "failed", "region"]'))
        for flags in ((), ("--notify", "none"), ("--notify", "started")):
            assert house.tidewatt("submit", *flags, "true").returncode == 0
        assert house.tidewatt("submit", "-J", "broken", "false").returncode == 0
        assert house.tidewatt("drain", "desk", "--reason", "new fans").returncode == 0
        for job in (1, 2, 3, 4):
            house.ended(job)
        house.until(lambda: len(hook.came) >= 4, 20)
        assert sorted(_titles(hook)) == [
            "desk is drained",
            "job 1 (true) is done",
            "job 3 (true) runs",
            "job 4 (broken) failed",
        ]
        done, drained = (next(each for each in hook.came if word in each["title"]) for word in ("1", "desk"))
        assert "Energy: " in done["message"]
        assert "tidewatt receipt 1" in done["message"]
        assert "new fans" in drained["message"]
        shown = house.tidewatt("config", "--config", str(house.folder / "config.toml"))
        assert "(hidden)" in shown.stdout
        tried = house.tidewatt("notify", "test", "--config", str(house.folder / "config.toml"))
        assert "1: json, reached" in tried.stdout
        assert _titles(hook)[-1] == "Tidewatt can reach you"
        looked = house.tidewatt("doctor", "--config", str(house.folder / "config.toml"))
        assert "warn  notify: json of finished, failed, region" in looked.stdout
        assert "chmod 600" in looked.stdout
        house.tidewatt("down")
    kept = [path for path in house.home.rglob("*") if path.is_file()]
    told = [path for path in kept if TOKEN.encode() in path.read_bytes()]
    assert {path.parent.name for path in told} == {"policies"}  # the configuration itself, as it was in force
    assert {path.stat().st_mode & 0o777 for path in told} == {0o600}
    assert TOKEN not in shown.stdout + tried.stdout + looked.stdout + looked.stderr


def test_a_dead_target_hurts_nobody_and_hears_it_later(house: House) -> None:
    with web_hook() as hook:
        hook.refuses = True
        house.up(config=_config(hook, '["finished"]'))
        house.tidewatt("submit", "true")
        house.ended(1)
        kept = house.home / "notices.json"
        house.until(lambda: kept.exists() and '"tries": 1' in kept.read_text(encoding="utf-8"), 20)
        assert house.ask("status")["jobs"]["done"] == 1
        house.tidewatt("down")
        hook.refuses = False
        text = kept.read_text(encoding="utf-8")
        _due_now(kept, text)
        house.up()
        house.until(lambda: hook.came, 20)
        assert _titles(hook) == ["job 1 (true) is done"]
        house.tidewatt("down")


def _due_now(kept: Path, text: str) -> None:
    """Lets the pause before the next try pass."""
    import json

    outbox = json.loads(text)
    for letter in outbox["letters"]:
        letter["due_s"] = 0.0
    kept.write_text(json.dumps(outbox), encoding="utf-8")


def test_bad_wishes_are_refused_in_one_sentence(house: House) -> None:
    file = house.folder / "own.toml"
    for text, told in (
        ('[notify]\nevents = ["finnished"]\n', "finnished"),
        ('[notify]\ndigest = "8 o\'clock"\n', "time of day"),
        (f'[notify]\nurls = "mailto://{TOKEN}"\n', "list of texts"),
        ('[notify]\nurl_file = "nowhere"\n', "does not exist"),
    ):
        file.write_text(text, encoding="utf-8")
        done = house.tidewatt("notify", "--config", str(file))
        assert done.returncode == 2
        assert told in done.stderr
        assert TOKEN not in done.stderr
        assert "Traceback" not in done.stderr
    done = house.tidewatt("submit", "--notify", "finnished", "true")
    assert (done.returncode, "finnished" in done.stderr or "daemon" in done.stderr) in ((2, True), (3, True))
