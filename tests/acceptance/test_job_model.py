"""Arrays, predecessors, retries and priorities with the real daemon, also one that is killed in between."""

from typing import Any

from tidewatt.scheduler.array import parse_key

CONFIG = 'zone = "DE"\ntick_s = 0.2\nmargin = "1s"\n[[region]]\nname = "local"\ncpus = 3\n'
MARKED = 'echo "$(date +%s%N) start $0" >> log; sleep 0.3; echo "$(date +%s%N) end $0" >> log'


def marks(house: Any) -> list[tuple[str, str]]:
    """What the jobs wrote down, in the order of time: `start` or `end`, and who."""
    lines = (house.work / "log").read_text().splitlines()
    return [(what, who) for _, what, who in sorted(line.split() for line in lines)]


def test_array_keeps_its_limit_and_those_after_it_their_turn_also_when_the_daemon_is_killed(
    house: Any,
) -> None:
    house.up(config=CONFIG)
    task = MARKED.replace("$0", "task$TIDEWATT_ARRAY_TASK_ID")
    array = house.ask("submit", "--array", "0-5%2", "--duration", "1s", "--", "sh", "-c", task)["array"]
    after = ("--after", array["key"], "--duration", "1s")
    follower = house.ask("submit", *after, "--", "sh", "-c", MARKED, "last")["job"]
    assert follower["after"] == ["1"]
    house.until(lambda: (house.work / "log").exists())
    house.kill_daemon()
    house.up()
    client = house.client()
    house.until(lambda: client.job(follower["id"])["state"] == "done")
    running, most, seen = 0, 0, []
    for what, who in marks(house):
        running += 1 if what == "start" else -1
        most = max(most, running)
        seen += [who] if what == "start" else []
    assert most <= 2
    assert sorted(seen) == ["last", *(f"task{number}" for number in range(6))], "each ran once"
    assert seen[-1] == "last"
    assert running == 0
    assert client.job(parse_key("1"))["tasks"] == {"done": 6}


def test_failure_is_tried_again_or_told_to_those_after_it_and_priorities_count(house: Any) -> None:
    house.up(config=CONFIG)
    client = house.client()

    def submit(*argv: str, **asked: Any) -> int:
        request = {"argv": argv, "cwd": str(house.work), "duration_s": 1.0, "env": dict(house.environ)}
        return int(client.submit(request | asked)["job"]["id"])

    blocked = "while test ! -e go; do sleep 0.05; done"
    again = submit("sh", "-c", f"{blocked}; test -e marker || {{ touch marker; exit 3; }}", retries=1)
    then = submit("true", after=[str(again)])
    fails = submit("sh", "-c", f"{blocked}; exit 1", cpus=2)
    never = submit("touch", "never", after=[str(fails)])
    anyway = submit("true", after_any=[str(fails)])
    low = submit("sh", "-c", MARKED, "low", cpus=3)
    high = submit("sh", "-c", MARKED, "high", cpus=3, priority=5)
    (house.work / "go").touch()
    for number in (again, then, anyway, low, high):
        house.until(lambda number=number: client.job(number)["state"] == "done")
    job = client.job(again)
    assert [attempt["exit_code"] for attempt in job["attempts"]] == [3, 0]
    assert job["retried"] == 1
    lost = client.job(never)
    assert lost["state"] == "cancelled"
    assert lost["reason"] == f"job {fails}, after which it was to run, failed"
    assert not (house.work / "never").exists()
    assert [who for what, who in marks(house) if what == "start"] == ["high", "low"]
