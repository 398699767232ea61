"""Who may ask over TCP, on the real daemon: tokens, sessions, sites, streams, one job for one key."""

import base64
import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
import pytest

from tests.acceptance.conftest import House
from tidewatt.scheduler.client import Client
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.remote import Remote

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JOB = {"argv": ["true"], "cwd": "/tmp"}
SECRET = re.compile(r"tw_[0-9a-f]{8}_[A-Za-z0-9_-]{30,}")


class Web:
    """The daemon over TCP."""

    def __init__(self, house: House) -> None:
        self.house = house
        house.up("--listen", "127.0.0.1:0", config='zone = "DE"\n')
        self.listen = house.ask("status")["listen"]
        self.port = int(self.listen.rpartition(":")[2])
        self.tokens = {scope: self.token(scope, scope) for scope in ("read", "submit", "operate")}

    def token(self, name: str, scope: str, lasting: str = "1h") -> str:
        """A new token."""
        return str(self.house.ask("token", "create", name, "--scope", scope, "--for", lasting)["token"])

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: Any = None
    ) -> tuple[int, dict[str, str], str]:
        """Status, headers and text of an answer."""
        text = json.dumps(body) if isinstance(body, dict) else body
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, text, headers or {})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read().decode()
        finally:
            connection.close()

    def status(self, method: str, path: str, headers: dict[str, str], body: Any = None) -> int:
        """The status alone."""
        return self.ask(method, path, headers, body)[0]

    def bearer(self, scope: str) -> dict[str, str]:
        """The header of a token."""
        return {"Authorization": f"Bearer {self.tokens[scope]}"}

    def signed_in(self) -> dict[str, str]:
        """The cookie of a session."""
        answer = self.ask(
            "POST", "/login", FORM, urlencode({"token": self.tokens["operate"], "next": "/now"})
        )
        assert (answer[0], answer[1]["location"]) == (303, "/now"), answer
        cookie = answer[1]["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        return {"Cookie": cookie.partition(";")[0]}


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """One daemon for all of these."""
    with pytest.MonkeyPatch.context() as patched:
        folder = Path("/tmp") / f"tw-web-{os.getpid()}"
        for name, part in {"TIDEWATT_HOME": "home", "TIDEWATT_LEASES": "leases", "XDG_RUNTIME_DIR": "run",
                           "XDG_STATE_HOME": "state", "XDG_CONFIG_HOME": "config"}.items():  # fmt: skip
            (folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
            patched.setenv(name, str(folder / part))
        house = House(folder)
        try:
            yield Web(house)
        finally:
            house.close()
            subprocess.run(["rm", "-rf", str(folder)], check=True)


def routes(web: Web) -> list[tuple[str, str]]:
    """All methods of all paths, with something in place of their parameters."""
    described = json.loads(web.ask("GET", "/api/v1/openapi.json", web.bearer("read"))[2])
    return [
        (verb.upper(), re.sub(r"\{\w+\}", "1", path))
        for path, verbs in described["paths"].items()
        for verb in verbs
    ]


def test_every_route_but_health_takes_a_token_that_holds(web: Web) -> None:
    over = web.token("over", "operate", "1s")
    gone = web.token("gone", "operate")
    web.house.ask("token", "revoke", "gone")
    web.house.until(lambda: not next(t for t in web.house.client().tokens() if t["name"] == "over")["holds"])
    found = routes(web)
    assert len(found) > 40
    for method, path in found:
        if path == "/api/v1/health":
            assert web.status(method, path, {}) == 200
            continue
        assert web.status(method, path, {}) == 401, (method, path)
        for token in (over, gone):
            assert web.status(method, path, {"Authorization": f"Bearer {token}"}) == 401, (method, path)


def test_scope_of_a_token_is_looked_at_before_anything_else(web: Web) -> None:
    for method, path in routes(web):
        if path == "/api/v1/shutdown":
            assert web.status(method, path, web.bearer("submit")) == 403
        elif method != "GET" and path.startswith(("/api/v1/drains", "/api/v1/shifting", "/api/v1/tokens")):
            assert web.status(method, path, web.bearer("submit")) == 403, (method, path)
        elif method != "GET" and path.startswith("/api/v1/jobs"):
            assert web.status(method, path, web.bearer("read")) == 403, (method, path)
    assert web.status("GET", "/api/v1/audit", web.bearer("submit")) == 403
    assert web.status("GET", "/api/v1/nothing", {}) == 401  # not 404: what there is, is nobody's business
    assert web.status("POST", "/api/v1/nothing", web.bearer("submit")) == 403
    assert web.status("POST", "/api/v1/jobs", web.bearer("submit") | JSON, JOB) == 200


def test_other_hosts_and_other_sites_are_refused(web: Web) -> None:
    good = web.bearer("operate")
    for host in (
        "evil.example",
        f"evil.example:{web.port}",
        "127.0.0.1",
        "",
        f"127.0.0.1:{web.port}.evil.example",
    ):
        assert web.status("GET", "/api/v1/status", good | {"Host": host}) == 421, host
        assert web.status("GET", "/api/v1/health", {"Host": host}) == 421, host
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{web.port}", "http://127.0.0.1:1", ""):
        assert web.status("POST", "/api/v1/jobs", good | JSON | {"Origin": origin}, JOB) == 403, origin
    assert web.status("GET", "/api/v1/status", good | {"Sec-Fetch-Site": "cross-site"}) == 403
    assert web.status("GET", "/api/v1/status", good | {"Origin": f"http://{web.listen}"}) == 200
    assert "access-control-allow-origin" not in web.ask("GET", "/api/v1/status", good)[1]


def test_session_changes_nothing_without_its_second_secret(web: Web) -> None:
    cookie = web.signed_in()
    assert web.status("GET", "/api/v1/status", cookie) == 200
    for headers in (cookie | JSON, cookie | JSON | {"X-CSRF-Token": "guess"}, cookie | FORM):
        assert web.status("PUT", "/api/v1/shifting", headers, {"on": True}) == 403
    page = web.ask("GET", "/", cookie | {"Accept": "text/html"})[2]
    secret = re.search(
        r'"X-CSRF-Token": ?"([\w-]+)"|name="csrf" value="([\w-]+)"', page.replace("&#34;", '"')
    )
    assert secret is not None
    csrf = secret[1] or secret[2]
    assert web.status("PUT", "/api/v1/shifting", cookie | JSON | {"X-CSRF-Token": csrf}, {"on": True}) == 200
    assert web.status("POST", "/logout", cookie | FORM, urlencode({"csrf": csrf})) == 303
    assert web.status("GET", "/api/v1/status", cookie) == 401


def test_code_signs_in_once_and_leads_nowhere_else(web: Web) -> None:
    code = web.house.client().login_code()["code"]
    form = urlencode({"code": code, "next": "//evil.example/"})
    answer = web.ask("POST", "/login", FORM, form)
    assert (answer[0], answer[1]["location"]) == (303, "/")
    assert web.status("POST", "/login", FORM, form) == 401


def test_answers_tell_browsers_to_run_and_keep_nothing(web: Web) -> None:
    for path, headers in (
        ("/api/v1/health", {}),
        ("/api/v1/status", {}),
        ("/api/v1/jobs", web.bearer("read")),
        ("/login", {}),
    ):
        found = web.ask("GET", path, headers)[1]
        assert "unsafe" not in found["content-security-policy"], path
        assert "frame-ancestors 'none'" in found["content-security-policy"], path
        assert found["x-content-type-options"] == "nosniff"
        assert found["cache-control"] == "no-store", path
        assert found["referrer-policy"] in ("no-referrer", "same-origin")


def test_same_key_is_one_job_also_after_a_crash(web: Web) -> None:
    headers = web.bearer("submit") | JSON | {"Idempotency-Key": "night run 7"}
    answers: list[tuple[int, dict[str, str], str]] = []

    def submit() -> None:
        answers.append(web.ask("POST", "/api/v1/jobs", headers, JOB))

    threads = [threading.Thread(target=submit) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    numbers = {json.loads(text)["job"]["id"] for _, _, text in answers}
    assert len(numbers) == 1
    assert [status for status, _, _ in answers] == [200] * 6
    assert sum("idempotency-replayed" in found for _, found, _ in answers) == 5
    other = web.ask("POST", "/api/v1/jobs", headers, JOB | {"argv": ["false"]})
    assert (other[0], json.loads(other[2])["exit_code"]) == (422, 2)
    web.house.kill_daemon()
    web.house.up("--listen", web.listen)
    again = web.ask("POST", "/api/v1/jobs", headers, JOB)
    assert json.loads(again[2])["job"]["id"] in numbers
    assert json.loads(again[2])["power_source"] == json.loads(answers[0][2])["power_source"]


def test_stream_tells_what_happens_and_goes_on_where_it_broke(web: Web) -> None:
    def lines(query: str, headers: dict[str, str]) -> Iterator[str]:
        connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
        connection.request("GET", f"/api/v1/events?{query}", headers=headers)
        answer = connection.getresponse()
        assert answer.getheader("content-type", "").startswith("text/event-stream")
        try:
            for raw in answer:
                yield raw.decode().rstrip("\n")
        finally:
            connection.close()

    stream = lines("beat_s=0.5", web.bearer("read"))
    assert next(stream).startswith(": from ")
    number = json.loads(web.ask("POST", "/api/v1/jobs", web.bearer("submit") | JSON, JOB)[2])["job"]["id"]
    told = []
    for line in stream:
        if line.startswith("data: "):
            told.append(json.loads(line[6:]))
            if told[-1]["kind"] == "job.done" and told[-1]["job"] == number:
                break
    mine = [each for each in told if each["job"] == number]
    assert mine[0]["kind"] == "submitted"
    later = [
        json.loads(line[6:])["seq"]
        for line in lines("follow=false", web.bearer("read") | {"Last-Event-ID": str(mine[0]["seq"])})
        if line.startswith("data: ")
    ]
    after = [each["seq"] for each in told if each["seq"] > mine[0]["seq"]]
    assert later[: len(after)] == after
    page = json.loads(web.ask("GET", "/api/v1/events/page?limit=3", web.bearer("read"))[2])
    assert [each["seq"] for each in page["events"]] == [1, 2, 3]
    further = json.loads(web.ask("GET", page["next"], web.bearer("read"))[2])
    assert further["events"][0]["seq"] == 4


def test_client_elsewhere_has_the_same_jobs_and_the_same_refusals(web: Web, tmp_path: Path) -> None:
    client = Client(Remote(f"http://{web.listen}", web.tokens["submit"]))
    number = client.submit(JOB)["job"]["id"]
    assert client.job(number)["id"] == number
    with pytest.raises(BadInput, match="no job 999999"):
        client.job(999999)
    with pytest.raises(Refused, match="scope operate"):
        client.shift({"on": True})
    environ = {
        **web.house.environ,
        "TIDEWATT_URL": f"http://{web.listen}",
        "TIDEWATT_TOKEN": web.tokens["read"],
    }
    environ["TIDEWATT_HOME"] = str(tmp_path)
    shown = web.house.tidewatt("show", str(number), "--json", env=environ)
    assert json.loads(shown.stdout)["id"] == number
    refused = web.house.tidewatt("submit", "--", "true", env=environ)
    assert (refused.returncode, "scope submit" in refused.stderr) == (1, True)


def test_output_is_read_from_elsewhere_as_it_grows(web: Web, tmp_path: Path) -> None:
    words = ["--output", "out.txt", "--error", "err.txt", "--", "sh", "-c"]
    script = "echo one; echo oops >&2; while [ ! -e go-on ]; do sleep 0.05; done; echo two"
    job = web.house.ask("submit", *words, script)["job"]
    web.house.until(lambda: (web.house.work / "out.txt").exists())
    environ = {**web.house.environ, "TIDEWATT_URL": f"http://{web.listen}", "TIDEWATT_HOME": str(tmp_path)}
    environ["TIDEWATT_TOKEN"] = web.tokens["read"]
    following = subprocess.Popen(
        [str(web.house.command), "logs", "-f", str(job["id"])],
        env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
    )  # fmt: skip
    assert following.stdout is not None
    assert following.stdout.readline() == "one\n"
    (web.house.work / "go-on").touch()
    assert following.communicate(timeout=30) == ("two\n", "oops\n")
    (web.house.work / "err.txt").unlink()
    os.mkfifo(web.house.work / "err.txt")  # it would hold up whoever opens it
    said = web.house.tidewatt("logs", str(job["id"]), env=environ)
    assert (said.returncode, said.stdout, said.stderr) == (0, "one\ntwo\n", "")
    asked = f"/api/v1/jobs/{job['id']}/logs?here=true&offset=4"
    found = json.loads(web.ask("GET", asked, web.bearer("read"))[2])
    assert (base64.b64decode(found["data"]), found["offset"], found["following"]) == (b"two\n", 8, "")
    assert json.loads(web.ask("GET", asked[: asked.index("?")], web.bearer("read"))[2])["data"] == ""


def test_pages_of_jobs_go_on_and_keep_to_what_was_asked(web: Web) -> None:
    for project in ("north", "north", "south"):
        body = JOB | {"project": project, "hold": True}
        assert web.status("POST", "/api/v1/jobs", web.bearer("submit") | JSON, body) == 200
    first = json.loads(web.ask("GET", "/api/v1/jobs?project=north&limit=1", web.bearer("read"))[2])
    second = json.loads(web.ask("GET", first["next"], web.bearer("read"))[2])
    last = json.loads(web.ask("GET", second["next"], web.bearer("read"))[2])
    assert first["jobs"][0]["id"] > second["jobs"][0]["id"]
    assert [page["jobs"][0]["project"] for page in (first, second)] == ["north", "north"]
    assert (last["jobs"], last["next"]) == ([], None)
    assert json.loads(web.ask("GET", "/api/v1/jobs?user=nobody-else", web.bearer("read"))[2])["jobs"] == []


def test_audit_tells_who_did_what_and_who_was_refused(web: Web) -> None:
    web.status("POST", "/api/v1/jobs", web.bearer("submit") | JSON, JOB)
    web.status("PUT", "/api/v1/shifting", web.bearer("read") | JSON, {"on": True})
    lines = json.loads(web.ask("GET", "/api/v1/audit?limit=500", web.bearer("operate"))[2])["lines"]
    done = next(each for each in lines if each["way"] == "token submit" and each["status"] == 200)
    assert (done["method"], done["path"], done["address"]) == ("POST", "/api/v1/jobs", "127.0.0.1")
    assert re.fullmatch(r"jobs/\d+", done["subject"])
    assert any((each["status"], each["path"]) == (403, "/api/v1/shifting") for each in lines)
    assert [each["seq"] for each in lines] == sorted((each["seq"] for each in lines), reverse=True)


def test_who_guesses_is_not_listened_to_and_shuts_out_nobody_known(web: Web) -> None:
    assert web.status("GET", "/api/v1/jobs", web.bearer("read")) == 200
    wrong = {"Authorization": "Bearer tw_00000000_guess"}
    statuses = [web.status("GET", "/api/v1/jobs", wrong) for _ in range(12)]
    assert statuses[-1] == 429
    assert int(web.ask("GET", "/api/v1/jobs", wrong)[1]["retry-after"]) <= 61
    assert web.status("GET", "/api/v1/jobs", web.bearer("read")) == 200


def test_no_token_is_in_any_log_or_file_or_command_line(web: Web) -> None:
    web.signed_in()
    for path in web.house.home.rglob("*"):
        if path.is_file():
            assert not SECRET.search(path.read_bytes().decode("latin-1")), path
    for process in web.house.processes():
        with contextlib.suppress(psutil.Error):  # it has just ended
            assert not SECRET.search(" ".join(process.cmdline()))


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--listen", "0.0.0.0:0"), "reaches beyond this host"),
        (("--listen", "0.0.0.0:0", "--behind-proxy", "127.0.0.1"), "allowed_hosts"),
        (("--listen", "127.0.0.1:0", "--behind-proxy", "proxy"), "no address"),
        (("--listen", "127.0.0.1:0", "--tls-cert", "/etc/hostname"), "belong together"),
        (("--listen", "gpu1.example.org:80"), "write an address"),
        (("--tls-key", "/etc/hostname"), "add --listen"),
    ],
)
def test_daemon_does_not_listen_where_tokens_could_be_read(
    house: House, flags: tuple[str, ...], sentence: str
) -> None:
    done = house.tidewatt("up", "--zone", "DE", *flags)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_python_client_loads_nothing_heavy() -> None:
    code = "import sys; import tidewatt.scheduler.client; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"pydantic", "requests", "numpy", "sqlalchemy", "fastapi", "ssl"} & set(loaded) - {"ssl"}
