"""The parts of access: throttling, where to listen, codes, profiles, pages by index."""

import datetime
import os
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tidewatt.scheduler.client import Client, NoDaemon
from tidewatt.scheduler.daemon.asked import network, seen
from tidewatt.scheduler.daemon.listening import Listening
from tidewatt.scheduler.daemon.scopes import needed
from tidewatt.scheduler.daemon.sessions import CODE_MS, Sessions
from tidewatt.scheduler.daemon.strangers import FROM_ALL, FROM_ONE, Strangers
from tidewatt.scheduler.daemon.throttling import MOST, Throttle
from tidewatt.scheduler.daemon.tokens import Tokens, hidden
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.remote import Remote, remote_of
from tidewatt.scheduler.store import Store


def test_throttle_lets_nobody_try_more_often_and_forgets_after_its_window() -> None:
    now = 0.0
    throttle = Throttle(tries=3, window_s=60, now=lambda: now)
    for _ in range(3):
        assert throttle.wait_s("a") == 0
        throttle.fail("a", "")
    now = 20.0
    assert throttle.wait_s("b", "a") == 40
    assert throttle.wait_s("b") == 0
    now = 60.0
    assert throttle.wait_s("a") == 0


def test_throttle_remembers_no_more_than_it_may() -> None:
    throttle = Throttle()
    for number in range(MOST + 50):
        throttle.fail(str(number))
    assert len(throttle) == MOST


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/api/v1/jobs", "read"),
        ("POST", "/api/v1/plan", "read"),
        ("POST", "/api/v1/jobs", "submit"),
        ("PATCH", "/api/v1/jobs/1", "submit"),
        ("POST", "/api/v1/jobsX", "operate"),
        ("PUT", "/api/v1/shifting", "operate"),
        ("GET", "/api/v1/tokens", "operate"),
        ("GET", "/api/v1/audit", "operate"),
        ("GET", "/api/v1/decisions/7", "operate"),
        ("GET", "/api/v1/backup", "operate"),
        ("POST", "/api/v1/policy/undo", "operate"),
        ("POST", "/api/v1/purge", "operate"),
        ("BREW", "/anything", "operate"),
    ],
)
def test_scope_follows_method_and_path(method: str, path: str, scope: str) -> None:
    assert needed(method, path) == scope


def test_code_works_once_and_for_a_minute(tmp_path: Path) -> None:
    now = 1_000_000
    store = Store(tmp_path / "tidewatt.db")
    tokens = Tokens(store, lambda: now)
    sessions = Sessions(store, tokens)
    code = sessions.code("read", "ada", None)
    found = sessions.redeemed(code)
    assert found is not None
    assert (found.user, found.scope) == ("ada", "read")
    assert sessions.redeemed(code) is None
    late = sessions.code("read", "ada", None)
    now += CODE_MS
    assert sessions.redeemed(late) is None
    store.close()


def test_session_ends_with_its_token_and_outlives_the_daemon(tmp_path: Path) -> None:
    store = Store(tmp_path / "tidewatt.db")
    tokens = Tokens(store)
    token, text = tokens.create("laptop", "submit", None, "ada", None)
    _session, cookie = Sessions(store, tokens).begin(token)
    later = Tokens(store)
    sessions = Sessions(store, later)
    assert sessions.found(cookie) is not None
    assert sessions.found("guess") is None
    later.revoke("laptop", None, everybodys=True)
    assert sessions.found(cookie) is None
    kept = (tmp_path / "tidewatt.db").read_bytes() + (tmp_path / "tidewatt.db-wal").read_bytes()
    assert text.encode() not in kept
    assert cookie.encode() not in kept
    store.close()


def test_pages_of_one_users_jobs_are_read_by_an_index(tmp_path: Path) -> None:
    store = Store(tmp_path / "tidewatt.db")
    pages = {
        "select * from job where id < 500000 order by id desc limit 100": "INTEGER PRIMARY KEY",
        "select * from job where uid = 7 and id < 500000 order by id desc limit 100": "ix_job_uid",
        "select * from job where \"user\" = 'ada' order by id desc limit 100": "ix_job_user",
        "select * from job where project = 'p' order by id desc limit 100": "ix_job_project",
        "select * from audit where seq < 5 order by seq desc limit 100": "INTEGER PRIMARY KEY",
        "select * from event where seq > 5 order by seq limit 100": "INTEGER PRIMARY KEY",
    }
    for query, index in pages.items():
        plan = str([tuple(row) for row in store.rows(sa.text(f"explain query plan {query}"))])  # type: ignore[arg-type]
        assert index in plan, (query, plan)
        assert "TEMP B-TREE" not in plan, (query, plan)
    store.close()


def test_profile_names_a_daemon_and_keeps_its_token_to_its_owner(tmp_path: Path) -> None:
    folder = tmp_path / "tidewatt"
    folder.mkdir()
    secret = folder / "lab.token"
    secret.write_text("tw_secret\n")
    (folder / "profiles.toml").write_text(
        '[lab]\nurl = "https://gpu1.example.org"\ntoken_file = "lab.token"\n'
    )
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "TIDEWATT_PROFILE": "lab"}
    secret.chmod(0o644)
    with pytest.raises(BadInput, match="chmod 600"):
        remote_of(environ)
    secret.chmod(0o600)
    found = remote_of(environ)
    assert found is not None
    assert (found.url, found.token) == ("https://gpu1.example.org", "tw_secret")
    assert "tw_secret" not in repr(found)
    with pytest.raises(BadInput, match="no profile 'else'"):
        remote_of(environ | {"TIDEWATT_PROFILE": "else"})
    with pytest.raises(BadInput, match="in the clear"):
        remote_of({"TIDEWATT_URL": "http://gpu1.example.org", "TIDEWATT_TOKEN": "x"})
    assert remote_of({}) is None


def test_client_asks_over_tls_only_whom_its_authority_vouches_for(tmp_path: Path) -> None:
    cert, key = _certificate(tmp_path)
    Listening("0.0.0.0:0", cert, key, (), ("localhost",)).check()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = HTTPServer(("127.0.0.1", 0), _Answers)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"https://localhost:{server.server_address[1]}"
        assert Client(Remote(url, "good", cert)).status() == {"said": "Bearer good"}
        with pytest.raises(NoDaemon, match="certificate"):
            Client(Remote(url, "good")).status()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_key_that_others_can_read_or_that_has_a_password_is_refused(tmp_path: Path) -> None:
    cert, key = _certificate(tmp_path)
    key.chmod(0o644)
    with pytest.raises(BadInput, match="can be read or changed by others: `chmod 600"):
        Listening("127.0.0.1:0", cert, key).check()
    key.chmod(0o600)
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    form = serialization.PrivateFormat.PKCS8
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, form, locked))
    with pytest.raises(BadInput, match="has a password, which the daemon cannot ask for"):
        Listening("127.0.0.1:0", cert, key).check()
    with pytest.raises(BadInput, match="No such file"):
        Listening("127.0.0.1:0", cert, tmp_path / "none.pem").check()


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("203.0.113.9", "203.0.113.9"), ("203.0.113.9:4711", "203.0.113.9"), ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"), ("unknown", ""), ("", ""), ("x" * 60_000, ""),
        ("127.0.0.1\x1b[31m", ""),
    ],
)  # fmt: skip
def test_only_addresses_are_taken_for_addresses(told: str, address: str) -> None:
    assert seen(told) == address


def test_guesses_from_one_site_are_counted_together() -> None:
    assert network("2001:db8::1") == network("2001:db8::ffff:1") == "2001:db8::/64"
    assert network("::ffff:203.0.113.9") == "203.0.113.9"
    assert network("203.0.113.9") == "203.0.113.9"
    assert network("fe80::1%eth0") == "fe80::/64"


def test_strangers_get_a_few_lines_a_minute_and_the_rest_is_counted() -> None:
    now = 0.0
    strangers = Strangers(lambda: now)
    assert sum(strangers.noted("a") for _ in range(100)) == FROM_ONE
    assert sum(strangers.noted(str(number)) for number in range(1000)) == FROM_ALL - FROM_ONE
    assert strangers.more() == 0
    now = 60.0
    assert strangers.more() == 1100 - FROM_ALL
    assert strangers.more() == 0
    assert strangers.noted("a")


def test_secret_part_of_a_token_is_hidden_wherever_it_stands() -> None:
    text = f"tw_0123abcd_{'x' * 32}"
    assert hidden(f"tokens/{text}/more") == "tokens/tw_0123abcd_.../more"
    assert hidden("tokens/laptop_2") == "tokens/laptop_2"


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        text = f'{{"said": "{self.headers["Authorization"]}"}}'.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_args: object) -> None:
        """Says nothing."""


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    os.chmod(key_file, 0o600)
    return cert_file, key_file
