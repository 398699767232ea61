"""A node's own meter, by real commands and a real HTTP server on loopback, and each way in which it fails."""

import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tidewatt.backends.backend import BackendError
from tidewatt.backends.meters import node_source
from tidewatt.backends.meters.node import Node, answer
from tidewatt.backends.meters.node_source import NoAnswerError, NodeSource

# The form that ipmitool prints DCMI's power reading in.
DCMI = """
    Instantaneous power reading:                   {watts} Watts
    Minimum during sampling period:                 89 Watts
    Maximum during sampling period:                431 Watts
    Average power reading over sample period:      212 Watts
    IPMI timestamp:                           Sun Nov 22 12:00:00 2026
    Sampling period:                          00000010 Seconds.
    Power reading state is:                   activated
"""


def script(path: Path, text: str) -> tuple[str, ...]:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o700)
    return (str(path),)


@dataclass
class Bmc:
    """A baseboard controller's web server, which answers what a test says."""

    body: bytes = b'{"PowerControl": [{"PowerConsumedWatts": 590}]}'
    status: int = 200
    held: threading.Event | None = None
    location: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(bmc: Bmc) -> Iterator[Bmc]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            bmc.asked.append((self.path, self.headers.get("Authorization", "")))
            if bmc.held:
                bmc.held.wait(20)
            self.send_response(bmc.status)
            if bmc.location:
                self.send_header("Location", bmc.location)
            self.send_header("Content-Length", str(len(bmc.body)))
            self.end_headers()
            self.wfile.write(bmc.body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    bmc.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield bmc
    finally:
        if bmc.held:
            bmc.held.set()
        server.shutdown()
        thread.join()
        server.server_close()


def until(told: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not told():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ipmi_dcmi_is_read_in_its_own_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(
        tmp_path / "ipmitool", f'[ "$*" = "dcmi power reading" ] && cat <<EOF\n{DCMI.format(watts=220)}EOF\n'
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert answer(node_source.node_source("ipmi-dcmi")) == 220_000


def test_redfish_is_read_at_its_own_place_with_the_password_of_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("open sesame\n")
    secret.chmod(0o600)
    with serving(Bmc()) as bmc:
        source = node_source.node_source("redfish", url=bmc.url, user="meter", password_file=str(secret))
        assert answer(source) == 590_000
    assert bmc.asked == [("/redfish/v1/Chassis/1/Power", "Basic bWV0ZXI6b3BlbiBzZXNhbWU=")]


def test_counter_of_kilowatt_hours_becomes_microjoules(tmp_path: Path) -> None:
    command = script(tmp_path / "pdu", 'echo \'{"outlets": [{"a/b": "1.25"}]}\'')
    source = node_source.node_source(command=command, pointer="/outlets/0/a~1b", unit="kWh")
    assert answer(source) == 1.25 * 3.6e12


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sleep 60", "did not come to an end within 0.3 s"),
        ("sleep 60 & exit 0", "did not come to an end"),  # a child that keeps the pipe open
        ("yes watts", "did not come to an end"),
        ("echo nonsense", "the pattern is not found"),
        ("echo watts 0", "a node that is on does not draw"),
        ("echo watts 2e12", "does not draw"),
        ("echo 'no device' >&2; exit 1", "failed with exit code 1: no device"),
        ("printf '\\377\\376'", "the pattern is not found"),
    ],
)
def test_command_that_tells_nothing_is_no_number(tmp_path: Path, text: str, told: str) -> None:
    command = script(tmp_path / "meter", text)
    source = NodeSource("meter", command=command, pattern=r"watts (\S+)", timeout_s=0.3)
    began = time.monotonic()
    with pytest.raises(NoAnswerError, match=told):
        answer(source)
    assert time.monotonic() - began < 10


def test_command_that_is_not_there_is_no_number() -> None:
    with pytest.raises(NoAnswerError, match="cannot be run"):
        answer(NodeSource("meter", command=("/nowhere/ipmitool",), pattern="(x)"))


@pytest.mark.parametrize(
    ("bmc", "told"),
    [
        (Bmc(status=401), "HTTP 401"),
        (Bmc(status=302, location="http://127.0.0.1:1/elsewhere"), "HTTP 302"),
        (Bmc(body=b"<html>busy</html>"), "not JSON"),
        (Bmc(body=b'{"PowerControl": []}'), "without /PowerControl/0"),
        (Bmc(body=b'{"PowerControl": [{"PowerConsumedWatts": null}]}'), "no number"),
        (Bmc(body=b'{"PowerControl": [{"PowerConsumedWatts": -3}]}'), "cannot be"),
        (Bmc(body=b'{"PowerControl": [{"PowerConsumedWatts": 0}]}'), "does not draw"),
        (Bmc(body=b" " * 1_100_000), "more than 1000000 bytes"),
        (Bmc(held=threading.Event()), "did not answer within 0.3 s"),
    ],
)
def test_server_that_tells_nothing_is_no_number(bmc: Bmc, told: str) -> None:
    with serving(bmc), pytest.raises(NoAnswerError, match=told):
        answer(node_source.node_source("redfish", url=bmc.url, timeout_s=0.3))


def test_server_that_is_not_there_is_no_number() -> None:
    with pytest.raises(NoAnswerError, match="cannot be reached"):
        answer(node_source.node_source("redfish", url="http://127.0.0.1:9"))


def test_password_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(stat.S_IRUSR | stat.S_IROTH)
    with serving(Bmc()) as bmc, pytest.raises(NoAnswerError, match="chmod 600"):
        answer(node_source.node_source("redfish", url=bmc.url, user="a", password_file=str(secret)))
    assert not bmc.asked


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"form": "ipmi"}, "ipmi-dcmi or redfish"),
        ({"pattern": "(x)"}, "needs a command or a url"),
        ({"command": ("a",), "url": "http://b", "pattern": "(x)"}, "not both"),
        ({"command": ("a",)}, "needs a pattern or a pointer"),
        ({"command": ("a",), "pattern": "("}, "no regular expression"),
        ({"command": ("a",), "pattern": "x"}, "one group"),
        ({"url": "ftp://b", "pattern": "(x)"}, "must begin with https"),
        ({"url": "http://a:b@c", "pattern": "(x)"}, "must not hold a password"),
        ({"url": "http://b", "pointer": "Power"}, "begin with a slash"),
        ({"command": ("a",), "pattern": "(x)", "unit": "BTU"}, "W, kW, J"),
    ],
)
def test_source_that_cannot_work_is_refused_in_one_sentence(given: dict[str, object], told: str) -> None:
    with pytest.raises(BackendError, match=told):
        node_source.node_source(**given)  # type: ignore[arg-type]


def test_node_that_hangs_holds_up_no_reading_and_is_told(tmp_path: Path) -> None:
    command = script(tmp_path / "meter", "sleep 60")
    node_source.write(tmp_path, NodeSource("PDU", command=command, pattern="(x)", timeout_s=0.2))
    node = Node(tmp_path)
    try:
        began = time.monotonic()
        assert node.read() == ({}, {})
        assert time.monotonic() - began < 0.15
        assert [device.component for device in node.devices()] == ["node"]
        until(lambda: node.read() == ({}, {}) and "did not come to an end" in node.note)
    finally:
        node.close()


def test_command_that_hangs_is_not_left_behind(tmp_path: Path) -> None:
    command = script(tmp_path / "meter", f"echo $$ > {tmp_path}/pid; exec sleep 600")
    node_source.write(tmp_path, NodeSource("PDU", command=command, pattern="(x)", timeout_s=60))
    node = Node(tmp_path)
    node.read()
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
    pid = int((tmp_path / "pid").read_text())
    node.close()
    until(lambda: not Path(f"/proc/{pid}").exists())


def test_answer_is_repeated_while_fresh_and_then_forgotten(tmp_path: Path) -> None:
    moments = [0.0]
    command = script(tmp_path / "meter", f"cat {tmp_path}/watts")
    (tmp_path / "watts").write_text("watts 300")
    source = NodeSource("PDU", command=command, pattern=r"watts (\d+)", interval_s=0.05, timeout_s=2)
    node_source.write(tmp_path, source)
    node = Node(tmp_path, monotonic=lambda: moments[0])
    try:
        until(lambda: node.read() == ({}, {"node:PDU": 300_000}))
        assert node.read() == ({}, {"node:PDU": 300_000})
        (tmp_path / "watts").write_text("garbage")
        until(lambda: "pattern is not found" in (node.read() and node.note))
        moments[0] += 5
        assert node.read() == ({}, {})
        (tmp_path / "watts").write_text("watts 310")
        until(lambda: node.read() == ({}, {"node:PDU": 310_000}))
        assert not node.note
        node_source.write(tmp_path, None)
        moments[0] += 60
        assert (node.read(), node.devices()) == (({}, {}), ())
    finally:
        node.close()


def test_counter_that_has_not_moved_is_not_shown_again(tmp_path: Path) -> None:
    command = script(tmp_path / "meter", f"cat {tmp_path}/total")
    (tmp_path / "total").write_text("7")
    source = NodeSource("PDU", command=command, pattern=r"(\d+)", unit="kJ", interval_s=0.05)
    node_source.write(tmp_path, source)
    node = Node(tmp_path)
    try:
        until(lambda: node.read() == ({"node:PDU": 7 * 10**9}, {}))
        assert node.read() == ({}, {})
        (tmp_path / "total").write_text("8")
        until(lambda: node.read() == ({"node:PDU": 8 * 10**9}, {}))
    finally:
        node.close()


def test_file_that_nobody_wrote_so_is_no_source(tmp_path: Path) -> None:
    for content in ("{}", "[]", "nonsense", json.dumps({"name": "x", "command": [], "url": "", "evil": 1})):
        node_source.place(tmp_path).write_text(content)
        assert node_source.read(tmp_path) is None
    source = node_source.node_source("ipmi-dcmi", interval_s=30.0)
    node_source.write(tmp_path, source)
    assert node_source.read(tmp_path) == source
    assert node_source.place(tmp_path).stat().st_mode & 0o077 == 0
