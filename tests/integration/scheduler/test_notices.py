"""Notices that leave by apprise for a real web hook and a real mail server on loopback."""

import os
import time
from pathlib import Path

import pytest

from tests.notices.sinks import mail_server, silence, web_hook
from tidewatt.scheduler.notices.sending import sent

TOKEN = "s3cret-token"


def test_a_message_reaches_a_web_hook_and_a_mail_box() -> None:
    with web_hook() as hook, mail_server() as box:
        targets = [
            f"json://127.0.0.1:{hook.port}/{TOKEN}",
            f"mailto://127.0.0.1:{box.port}?from=tidewatt@example.org&to=ada@example.org&mode=insecure",
        ]
        message = {"title": "job 7 (bert) is done", "body": "Energy: 3.2 Wh used, 3.8 Wh with PUE 1.2."}
        assert sent(targets, [message]) == [[]]
        (told,) = hook.came
        assert (told["title"], told["message"]) == (message["title"], message["body"])
        (mail,) = box.came
        assert "Subject: job 7 (bert) is done" in mail
        assert "3.2 Wh used" in mail


def test_only_the_targets_that_were_not_reached_are_told_again() -> None:
    with web_hook() as good, web_hook() as bad:
        bad.refuses = True
        targets = [f"json://127.0.0.1:{each.port}/" for each in (good, bad)]
        assert sent([*targets, "nonsense"], [{"title": "a", "body": "b"}]) == [[1, 2]]
        bad.refuses = False
        assert sent([*targets, "nonsense"], [{"title": "a", "body": "b", "left": [1]}]) == [[]]
        assert (len(good.came), len(bad.came)) == (1, 1)


def test_a_target_that_hangs_holds_nobody_up_for_longer_than_allowed() -> None:
    with silence() as hole:
        began = time.monotonic()
        targets = [f"json://127.0.0.1:{hole.port}/?cto=60&rto=60"]
        assert sent(targets, [{"title": "a", "body": "b"}], limit_s=3.0) == [[0]]
        assert time.monotonic() - began < 20


def test_no_target_is_seen_in_a_list_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    import subprocess

    run = subprocess.run

    def looking(command: list[str], **more: object) -> object:
        seen.append(command)
        assert TOKEN not in str(more.get("env"))
        return run(command, **more)  # type: ignore[call-overload] # as it was given

    monkeypatch.setattr(subprocess, "run", looking)
    with web_hook() as hook:
        sent([f"json://127.0.0.1:{hook.port}/{TOKEN}"], [{"title": "a", "body": "b"}])
    assert TOKEN not in str(seen)
    assert os.sep in seen[0][0]
    assert Path(seen[0][0]).exists()
