"""What somebody without rights tries at the TCP door of the real daemon, byte by byte where that matters."""

import http.client
import json
import re
import socket
import ssl
import subprocess
import threading
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.acceptance.conftest import House
from tests.acceptance.test_access import FORM, JOB, JSON, SECRET, Web, web
from tidewatt.scheduler.client import Client, NoDaemon
from tidewatt.scheduler.remote import Remote

__all__ = ["web"]
DEEP = "[" * 20_000
LONG = "9" * 5_000


def said(port: int, words: str) -> tuple[int, str]:
    """Status and text of what the door answers to these very words, until it hangs up."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(words.encode("latin-1"))
        text = b""
        try:
            while part := connection.recv(65536):
                text += part
        except ConnectionError:
            pass
    found = text.decode("latin-1")
    return int(found.split(" ")[1]) if found.startswith("HTTP/") else 0, found


def test_request_that_two_servers_could_read_differently_is_refused(web: Web) -> None:
    host = f"Host: {web.listen}\r\n"
    hidden = "GET /api/v1/health HTTP/1.1\r\n" + host + "\r\n"
    for head, status in (
        ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", 400),
        ("Content-Length: 4\r\nContent-Length: 5\r\n", 400),
        ("Transfer-Encoding: identity, chunked\r\n", 400),
        ("Transfer-Encoding : chunked\r\n", 400),
        (f"Host: {web.listen}\r\n", 400),
    ):
        found, text = said(web.port, f"POST /login HTTP/1.1\r\n{host}{head}\r\n0\r\n\r\n{hidden}")
        assert found in (status, 501), (head, text)
        assert text.count("HTTP/1.1") == 1, (head, text)  # what followed was not taken for a request
    assert said(web.port, "GET /api/v1/health HTTP/1.0\r\n\r\n")[0] == 421
    assert said(web.port, "this is no HTTP\r\n\r\n")[0] == 400
    assert "Invalid HTTP" not in web.house.log()


@pytest.mark.parametrize(
    "path",
    [
        "/static/..%2f..%2fapi%2fv1%2fjobs", "/static/../api/v1/jobs", "/login/../api/v1/jobs",
        "//api/v1/jobs", "/api/v1/jobs%0a", "/login%0a", "/api/v1/audit%0a", "/api/v1/health/",
        "/api/v1/health%00",
        "http://127.0.0.1/api/v1/jobs", "*", "/static/x/..%2f..%2f..%2f..%2fetc%2fpasswd", "/API/V1/JOBS",
        "/api/v1/health;/jobs", "/static/%2e%2e/%2e%2e/page.css",
    ],
)  # fmt: skip
def test_no_spelling_of_a_path_leads_past_the_door(web: Web, path: str) -> None:
    words = f"GET {path} HTTP/1.1\r\nHost: {web.listen}\r\nConnection: close\r\n\r\n"
    status, text = said(web.port, words)
    assert status in (400, 401, 404), (path, text)
    assert "root:" not in text
    assert '"jobs"' not in text


def test_bodies_that_are_made_to_hurt_are_refused_in_a_sentence(web: Web) -> None:
    good = web.bearer("submit") | JSON
    for body in (DEEP, "{" + f'"argv":{DEEP}', f'{{"argv":["true"],"cwd":"/tmp","cpus":{LONG}}}', "NaN",
                 '{"argv":["a\\u0000b"],"cwd":"/tmp"}', '{"argv":["true"],"cwd":"/tmp","duration_s":1e999}',
                 "\udcff\udcfe".encode("utf-8", "surrogateescape"), '{"argv":"\\ud800"}'):  # fmt: skip
        status, headers, text = web.ask("POST", "/api/v1/jobs", good, body)
        assert (status, headers["content-type"]) == (422, "application/problem+json"), text
    assert web.status("GET", "/api/v1/jobs", web.bearer("read") | {"Origin": "http://["}) == 403
    assert web.status("POST", "/api/v1/jobs", good | {"Content-Length": "64000001"}, "{") == 413
    assert "request.failed" not in web.house.log()
    assert "Traceback" not in web.house.log()


@pytest.mark.parametrize(
    "query",
    [
        "since_s=1&since_s=2",
        "since_s=2%0A",
        "since_s=%202",
        "since_s=nan",
        "since_s=1_000",
        "since_s=Infinity",
    ],
)
def test_number_in_an_address_is_one_number(web: Web, query: str) -> None:
    status, _, text = web.ask("GET", f"/api/v1/report?{query}", web.bearer("read"))
    assert (status, json.loads(text)["detail"].startswith("query.since_s: it is ")) == (422, True), text
    assert web.status("GET", "/api/v1/report?since_s=1e3", web.bearer("read")) == 200
    twice = web.ask("GET", "/api/v1/bundle/job/1?output=a&output=b", web.bearer("read"))[2]
    assert "more than once" not in twice


def test_flood_of_wrong_tokens_neither_fills_the_audit_log_nor_shuts_out_others(web: Web) -> None:
    for number in range(60):
        web.status("GET", "/api/v1/jobs", {"Authorization": f"Bearer tw_{number:08x}_guessguess"})
    other = web.token("newcomer", "read")
    assert web.status("GET", "/api/v1/jobs", {"Authorization": f"Bearer {other}"}) == 200
    lines = json.loads(web.ask("GET", "/api/v1/audit?limit=1000", web.bearer("operate"))[2])["lines"]
    nobodys = [each for each in lines if not each["user"] and each["method"]]
    assert 0 < len(nobodys) <= 40  # 20 in each of two minutes


def test_token_makes_none_that_outlasts_it_and_is_written_nowhere(web: Web) -> None:
    good = web.bearer("operate") | JSON
    wish = {"name": "heir", "scope": "read", "lasting_s": 7200.0}
    status, _, text = web.ask("POST", "/api/v1/tokens", good, wish)
    assert (status, "outlast" in text) == (422, True)
    assert web.status("POST", "/api/v1/tokens", good, wish | {"lasting_s": None}) == 422
    status, headers, text = web.ask("POST", "/api/v1/tokens", good, wish | {"lasting_s": 60.0})
    made = json.loads(text)
    assert (status, headers["location"]) == (200, f"/api/v1/tokens/{made['view']['id']}")
    whole = made["token"]  # somebody puts it where only its name belongs
    assert web.status("DELETE", f"/api/v1/tokens/{whole}", good) == 200
    lines = json.loads(web.ask("GET", "/api/v1/audit", web.bearer("operate"))[2])["lines"]
    assert any(each["path"].endswith(f"{made['view']['id']}_...") for each in lines)
    assert any(each["subject"] == f"tokens/{made['view']['id']}" for each in lines)
    for path in web.house.home.rglob("*"):
        if path.is_file():
            assert not SECRET.search(path.read_bytes().decode("latin-1")), path


def test_stream_ends_with_the_token_that_it_was_asked_with(web: Web) -> None:
    short = {"Authorization": f"Bearer {web.token('short', 'read')}"}
    with closing(http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)) as connection:
        connection.request("GET", "/api/v1/events?beat_s=60", headers=short)
        answer = connection.getresponse()
        assert answer.readline().startswith(b": from")
        web.house.ask("token", "revoke", "short")
        number = json.loads(web.ask("POST", "/api/v1/jobs", web.bearer("submit") | JSON, JOB)[2])["job"]["id"]
        assert f'"job": {number}'.encode() not in answer.read()  # it has ended, long before its next beat


def test_session_ends_its_streams_when_it_is_signed_out(web: Web) -> None:
    cookie = web.signed_in()
    page = web.ask("GET", "/", cookie | {"Accept": "text/html"})[2]
    csrf = re.search(r'name="csrf" value="([\w-]+)"', page)
    assert csrf is not None
    with closing(http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)) as connection:
        connection.request("GET", "/api/v1/events?beat_s=0.5", headers=cookie)
        answer = connection.getresponse()
        assert answer.readline().startswith(b": from")
        assert web.status("POST", "/logout", cookie | FORM, urlencode({"csrf": csrf[1]})) == 303
        answer.read()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of its own authority for localhost, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2",
         "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    key.chmod(0o600)
    return cert, key


def test_daemon_speaks_tls_to_those_who_know_its_certificate(house: House, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    words = ("--listen", "127.0.0.1:0", "--tls-cert", str(cert), "--tls-key", str(key))
    house.up("--zone", "DE", *words)
    port = int(house.ask("status")["listen"].rpartition(":")[2])
    token = house.ask("token", "create", "t", "--scope", "operate")["token"]
    client = Client(Remote(f"https://localhost:{port}", token, cert))
    assert client.submit(JOB)["job"]["id"] == 1
    with pytest.raises(NoDaemon, match="certificate"):
        Client(Remote(f"https://localhost:{port}", token)).status()
    assert said(port, f"GET /api/v1/health HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n")[0] == 0
    context = ssl.create_default_context(cafile=cert)
    with closing(http.client.HTTPSConnection("localhost", port, timeout=30, context=context)) as connection:
        connection.request("POST", "/login", urlencode({"token": token}), FORM)
        answer = connection.getresponse()
        cookie = str(answer.getheader("set-cookie"))
        assert cookie.startswith("__Host-tidewatt_session=")
        assert "Secure" in cookie
        assert "max-age=" in str(answer.getheader("strict-transport-security"))
        answer.read()
        assert connection.sock is not None
        assert connection.sock.version() in ("TLSv1.2", "TLSv1.3")


class Proxy:
    """A proxy on loopback: it adds whom it saw, under the name by which people reach it."""

    def __init__(self, port: int, host: str, more: str = "") -> None:
        self._to, self._host, self._more = port, host, more
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                guest, address = self._server.accept()
            except OSError:
                return
            with guest, socket.create_connection(("127.0.0.1", self._to), 30) as inner:
                text = b""
                while b"\r\n\r\n" not in text:
                    text += guest.recv(65536)
                line, _, rest = text.partition(b"\r\n")
                added = (
                    f"X-Forwarded-For: {self._more}{address[0]}\r\nX-Forwarded-Host: {self._host}\r\n"
                    "X-Forwarded-Proto: https\r\nConnection: close\r\n"
                )
                inner.sendall(line + b"\r\n" + added.encode() + rest)
                while part := inner.recv(65536):
                    guest.sendall(part)

    def ask(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
        """Status, headers and text."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5)


@pytest.fixture
def proxied(house: House) -> tuple[House, int]:
    """A daemon behind a proxy of 127.0.0.1, and its own port."""
    config = 'zone = "DE"\n[server]\nallowed_hosts = ["tide.example.org"]\n'
    house.up("--listen", "127.0.0.1:0", "--behind-proxy", "127.0.0.1", config=config)
    return house, int(house.ask("status")["listen"].rpartition(":")[2])


def test_daemon_behind_a_proxy_believes_it_and_knows_who_guesses(proxied: tuple[House, int]) -> None:
    house, port = proxied
    token = house.ask("token", "create", "t", "--scope", "operate")["token"]
    good = {"Authorization": f"Bearer {token}"}
    proxy, other = Proxy(port, "tide.example.org", "203.0.113.9, "), Proxy(port, "evil.example.org")
    try:
        status, headers, _ = proxy.ask("/api/v1/jobs", good)
        assert (status, "strict-transport-security" in headers) == (200, True)
        assert proxy.ask("/api/v1/jobs", good | {"Origin": "https://tide.example.org"})[0] == 200
        assert proxy.ask("/api/v1/jobs", good | {"Origin": "http://tide.example.org"})[0] == 403
        assert other.ask("/api/v1/jobs", good)[0] == 421
        wrong = {"Authorization": "Bearer tw_00000000_guessguess"}
        assert [proxy.ask("/api/v1/jobs", wrong)[0] for _ in range(11)][-1] == 429
        found: list[dict[str, Any]] = house.ask("audit", "--limit", "100")["lines"]
        # what a client said that its address was comes before what the proxy saw
        assert {each["address"] for each in found if each["status"] in (401, 429)} == {"127.0.0.1"}
    finally:
        proxy.close()
        other.close()
