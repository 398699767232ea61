"""Sends notices by apprise, in a short process of its own with the rights of whoever wants them.

A target that hangs, a plugin that fails and what it may read or start are then nothing of the daemon's:
`python -m tidewatt.scheduler.notices.sending` takes targets and messages on stdin, tells on stdout which
targets were not reached, and is ended when it takes too long. No target ever stands in a command line.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from tidewatt.backends.backend import Owner
from tidewatt.scheduler.errors import SchedulerError

LIMIT_S = 60.0
NEEDED = (
    *("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
MISSING = "notifications need apprise: pip install 'tidewatt[notify]'"
Message = dict[str, Any]
"""`title`, `body`, and `left`: the numbers of the targets that it goes to, None for all."""


def sent(
    targets: Sequence[str], messages: Sequence[Message], owner: Owner | None = None, limit_s: float = LIMIT_S
) -> list[list[int]]:
    """For each message the numbers of the targets that it did not reach.

    Raises:
        SchedulerError: apprise is not installed.
    """
    who: dict[str, Any] = {}
    if owner is not None:
        who = {"user": owner.uid, "group": owner.gid, "extra_groups": list(owner.groups)}
    environ = {name: os.environ[name] for name in NEEDED if name in os.environ}
    asked = json.dumps({"targets": list(targets), "messages": list(messages)})
    unsent = [_wanted(message, len(targets)) for message in messages]
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-m", "tidewatt.scheduler.notices.sending"],
            input=asked, capture_output=True, text=True, timeout=limit_s, env=environ, cwd="/",
            start_new_session=True, check=False, **who,
        )  # fmt: skip
    except (subprocess.TimeoutExpired, OSError):
        return unsent
    if done.returncode == 3:
        raise SchedulerError(MISSING)
    try:
        answer: list[list[int]] = json.loads(done.stdout)
    except ValueError:
        return unsent
    return answer if len(answer) == len(messages) else unsent


def main() -> int:
    """Sends what stdin asks for; 3 where apprise is not installed."""
    logging.disable()  # a plugin's words may show a target
    asked = json.load(sys.stdin)
    try:
        import apprise
    except ImportError:
        return 3
    asset = apprise.AppriseAsset(app_id="Tidewatt", app_desc="Tidewatt", app_url="", secure_logging=True)
    plugins = [_plugin(apprise, url, asset) for url in asked["targets"]]
    answer = []
    for message in asked["messages"]:
        wanted = _wanted(message, len(plugins))
        answer.append([number for number in wanted if not _reached(plugins[number], message)])
    sys.stdout.write(json.dumps(answer))
    return 0


def _plugin(apprise: Any, url: str, asset: Any) -> Any:
    """The target; None where apprise does not understand it."""
    try:
        return apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    except Exception:
        return None


def _reached(plugin: Any, message: Message) -> bool:
    """Whether the target took it; a plugin's own fault means that it did not."""
    if plugin is None:
        return False
    try:
        return bool(plugin.notify(title=message["title"], body=message["body"], body_format="text"))
    except Exception:
        return False


def _wanted(message: Message, targets: int) -> list[int]:
    left = message.get("left")
    return list(range(targets)) if left is None else [number for number in left if 0 <= number < targets]


if __name__ == "__main__":
    raise SystemExit(main())
