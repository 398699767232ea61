"""Two users of a shared server, over TCP: neither sees nor touches what is the other's."""

import http.client
import json
import os
import pwd
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tests.shared.server import Server

# Users that every Debian has, with one group in common; they are only asked for, nothing runs as them.
NAMES, GROUP = ("sync", "nobody"), 65534


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A shared daemon with a TCP door."""
    if os.geteuid() != 0:
        pytest.skip("only root can serve others")
    try:
        if any(pwd.getpwnam(name).pw_gid != GROUP for name in NAMES):
            pytest.skip("this system has no two users of one system group")
    except KeyError:
        pytest.skip("this system lacks the users that this test borrows")
    found = Server()
    file = found.root / "config.toml"
    file.write_text('zone = "DE"\n[[region]]\nname = "local"\ncpus = 8\n')
    try:
        done = found.tidewatt(
            0, "up", "--system", "--group", str(GROUP), "--config", str(file), "--listen", "127.0.0.1:0"
        )
        assert done.code == 0, done.err
        yield found
    finally:
        found.close()


@cache
def port(server: Server) -> int:
    """Where it listens."""
    listen: str = server.tidewatt(0, "--system", "status", "--json").json["listen"]
    return int(listen.rpartition(":")[2])


def asked(server: Server, token: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Status and answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port(server), timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read().decode("utf-8", "replace")
    connection.close()
    plain = "json" not in str(answer.getheader("content-type"))
    return answer.status, text if plain else json.loads(text)


def test_two_users_neither_see_nor_touch_each_others_jobs(server: Server) -> None:
    words = ("--system", "token", "create")
    first, second = (
        server.tidewatt(0, *words, name, "--user", name, "--scope", "operate", "--json").json["token"]
        for name in NAMES
    )
    body = {"argv": ["true"], "cwd": "/", "hold": True, "name": "hush-hush"}
    status, reply = asked(server, first, "POST", "/api/v1/jobs", body)
    assert (status, reply["job"]["user"]) == (200, NAMES[0])
    number = reply["job"]["id"]
    assert asked(server, first, "GET", f"/api/v1/jobs/{number}")[0] == 200
    assert [each["id"] for each in asked(server, first, "GET", "/api/v1/jobs")[1]["jobs"]] == [number]

    for method, path, sent in (
        ("GET", f"/api/v1/jobs/{number}", None),
        ("GET", f"/api/v1/jobs/{number}/logs", None),
        ("GET", f"/api/v1/jobs/{number}/logs?here=true", None),
        ("GET", f"/api/v1/policy/jobs/{number}", None),
        ("GET", f"/api/v1/bundle/job/{number}", None),
        ("PATCH", f"/api/v1/jobs/{number}", {"name": "mine"}),
        ("POST", f"/api/v1/jobs/{number}/cancel", {}),
        ("POST", f"/api/v1/jobs/{number}/release", {}),
        ("POST", f"/api/v1/jobs/{number}/rerun", {}),
        ("POST", f"/api/v1/jobs/{number}/signal", {"name": "KILL"}),
    ):
        status, found = asked(server, second, method, path, sent)
        assert status >= 400, (method, path)
        assert "hush-hush" not in json.dumps(found)
    assert asked(server, second, "GET", "/api/v1/jobs")[1]["jobs"] == []
    assert asked(server, second, "GET", "/api/v1/events/page?limit=1000")[1]["events"] == []
    assert "hush-hush" not in asked(server, second, "GET", "/api/v1/events?follow=false&after=0")[1]
    for path in ("status", "receipts", "report", "hours", "shares", "budgets"):
        assert "hush-hush" not in json.dumps(asked(server, second, "GET", f"/api/v1/{path}")[1]), path
    assert asked(server, first, "GET", f"/api/v1/jobs/{number}")[1]["state"] == "held"


def test_nothing_that_can_be_asked_tells_of_another_users_job(server: Server) -> None:
    words = ("--system", "token", "create")
    first, second = (
        server.tidewatt(0, *words, f"all-{name}", "--user", name, "--scope", "operate", "--json").json[
            "token"
        ]
        for name in NAMES
    )
    body = {"argv": ["true", "hush-hush"], "cwd": "/", "hold": True, "name": "hush-hush",
            "project": "hush-hush", "labels": {"hush-hush": "hush-hush"}}  # fmt: skip
    number = asked(server, first, "POST", "/api/v1/jobs", body)[1]["job"]["id"]
    described = asked(server, second, "GET", "/api/v1/openapi.json")[1]
    screens = ["/", "/jobs", f"/jobs/{number}", "/savings", "/regions", "/system", "/page/now", "/page/room"]
    paths = [path for path, verbs in described["paths"].items() if "get" in verbs]
    assert len(paths) > 25
    for path in (*paths, "/metrics", *screens):
        filled = re.sub(r"\{\w+\}", str(number), path)
        if path.endswith("/events"):
            filled += "?follow=false&after=0"
        status, found = asked(server, second, "GET", filled)
        assert "hush-hush" not in json.dumps(found), filled
        assert status < 500, filled
    for path, verbs in described["paths"].items():
        for verb in verbs.keys() - {"get"}:
            if "{key}" in path and "/jobs/" in path:
                filled = path.replace("{key}", str(number))
                status, found = asked(server, second, verb.upper(), filled, {})
                assert status >= 400, filled
                assert "hush-hush" not in json.dumps(found), filled
    assert asked(server, first, "GET", f"/api/v1/jobs/{number}")[1]["state"] == "held"


def test_a_token_is_never_more_than_its_user(server: Server) -> None:
    token = server.tidewatt(
        0, "--system", "token", "create", "wide", "--user", NAMES[1], "--scope", "operate", "--json"
    ).json["token"]
    assert asked(server, token, "PUT", "/api/v1/shifting", {"on": False})[0] == 409
    assert asked(server, token, "GET", "/api/v1/audit")[0] == 409
    assert asked(server, token, "POST", "/api/v1/shutdown", {})[0] == 409
    other = {"name": "x", "user": NAMES[0]}
    assert asked(server, token, "POST", "/api/v1/tokens", other)[0] == 409
    users = {each["user"] for each in asked(server, token, "GET", "/api/v1/tokens")[1]["tokens"]}
    assert users == {NAMES[1]}
    assert asked(server, token, "DELETE", f"/api/v1/tokens/{NAMES[0]}")[0] == 422


def test_same_key_of_another_user_is_another_job(server: Server) -> None:
    numbers = set()
    for name in NAMES:
        made = server.tidewatt(0, "--system", "token", "create", f"k-{name}", "--user", name, "--json")
        connection = http.client.HTTPConnection("127.0.0.1", port(server), timeout=30)
        headers = {"Authorization": f"Bearer {made.json['token']}", "Content-Type": "application/json"}
        body = json.dumps({"argv": ["true"], "cwd": "/", "hold": True})
        connection.request("POST", "/api/v1/jobs", body, headers | {"Idempotency-Key": "k"})
        numbers.add(json.loads(connection.getresponse().read())["job"]["id"])
        connection.close()
    assert len(numbers) == 2
