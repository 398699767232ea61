"""How feeds ask: whatever a server does, the answer is whole, bounded and in time, or one clear error."""

import gzip
import json
import logging
import random
import traceback
from pathlib import Path

import pytest

from tests.grid.raw_server import Act, RawServer, drip, hold, reply, send, serving
from tidewatt.forecasting.feeds.feed import FeedError
from tidewatt.forecasting.feeds.secret import Secret
from tidewatt.forecasting.feeds.transport import Transport

KEY = "k3y-S0-secret"
OK = reply(200, b'{"value": 1}')
DROP = send(b"")


class Time:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def clock(self) -> float:
        return self.now

    def wait(self, duration_s: float) -> None:
        self.waits.append(duration_s)
        self.now += duration_s


@pytest.fixture
def time() -> Time:
    return Time()


def transport(time: Time, **options: object) -> Transport:
    made = {"clock": time.clock, "wait": time.wait, "chance": random.Random(1), "timeout_s": (5.0, 5.0)}
    return Transport("Grid", **(made | options))  # type: ignore[arg-type]


def error(time: Time, server: RawServer, path: str = "/v1", **options: object) -> FeedError:
    """What one call raises."""
    return failing(transport(time, **options), server.url + path)


def failing(asked: Transport, url: str, **options: object) -> FeedError:
    with pytest.raises(FeedError) as caught:
        asked.get(url, **options)  # type: ignore[arg-type]
    return caught.value


def test_a_packed_reply_comes_whole(time: Time) -> None:
    with serving(reply(200, gzip.compress(b'{"value": 1}'), Content_Encoding="gzip", ETag='"a"')) as server:
        got = transport(time).get(
            server.url + "/v1", params={"zone": "DE"}, headers={"auth-token": Secret(KEY)}
        )
    assert (got.status, got.json(), got.etag, got.text) == (200, {"value": 1}, '"a"', '{"value": 1}')
    assert "GET /v1?zone=DE HTTP/1.1" in server.heads[0]
    assert f"auth-token: {KEY}" in server.heads[0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_a_service_refuses_is_for_the_feed_to_judge(time: Time, status: int) -> None:
    with serving(reply(status, b"no")) as server:
        assert transport(time).get(server.url).status == status


@pytest.mark.parametrize(
    "act",
    [
        drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x", 0.02),
        drip(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x", 0.02),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 0.02),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x", 0.02),
    ],
    ids=["body", "headers", "chunks", "with a length"],
)
def test_a_server_that_drips_is_cut_off(time: Time, act: Act) -> None:
    with serving(act) as server:
        caught = failing(transport(time), server.url + "/v1", total_s=0.3)
    assert caught.transient
    assert "cut off after 0.3 s" in str(caught)


def test_a_server_that_says_nothing_is_given_up(time: Time) -> None:
    with serving(hold) as server:
        caught = error(time, server, timeout_s=(5.0, 0.1))
    assert caught.transient
    assert "did not answer in time" in str(caught)
    assert len(server.heads) == 1


def test_a_dropped_connection_is_tried_again_at_once(time: Time) -> None:
    with serving(DROP, reply(502), OK) as server:
        assert transport(time).get(server.url).json() == {"value": 1}
    assert len(time.waits) == 2
    assert max(time.waits) < 1


@pytest.mark.parametrize(
    "act",
    [
        DROP,
        send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"),
        reply(200, gzip.compress(bytes(99))[:-9], Content_Encoding="gzip"),
        reply(200, b"no gzip at all", Content_Encoding="gzip"),
        reply(200, b"x", Content_Encoding="br"),
        send(b"SSH-2.0-OpenSSH\r\n"),
        reply(500),
        reply(504),
    ],
    ids=["nothing", "half", "half packed", "not packed", "other coding", "no HTTP", "500", "504"],
)
def test_what_is_not_a_whole_reply_is_a_passing_error(time: Time, act: Act) -> None:
    with serving(act) as server:
        caught = error(time, server)
    assert caught.transient
    assert "127.0.0.1" in str(caught)
    assert len(server.heads) <= 3


@pytest.mark.parametrize(
    "act",
    [
        reply(200, bytes(2**20 + 1)),
        drip(b"HTTP/1.1 200 OK\r\n\r\n", bytes(2**18), 0.0),
        reply(200, gzip.compress(bytes(2**26)), Content_Encoding="gzip"),
    ],
    ids=["long", "endless", "bomb"],
)
def test_a_body_above_the_cap_is_not_used(time: Time, act: Act) -> None:
    with serving(act) as server:
        caught = error(time, server, largest_bytes=2**20)
    assert "more than 1 MiB" in str(caught)


def test_a_key_never_follows_to_another_host(time: Time) -> None:
    with serving(OK) as other, serving(reply(302, Location=f"{other.url}/steal")) as server:
        caught = failing(transport(time), server.url, headers={"auth-token": Secret(KEY)})
    assert "another host" in str(caught)
    assert not caught.transient
    assert other.heads == []


def test_a_redirection_on_the_same_host_is_followed(time: Time) -> None:
    with serving(reply(301, Location="/v2?zone=DE"), OK) as server:
        transport(time).get(server.url + "/v1", headers={"auth-token": Secret(KEY)})
    assert "GET /v2?zone=DE" in server.heads[1]
    assert f"auth-token: {KEY}" in server.heads[1]


def test_redirections_without_end_are_given_up(time: Time) -> None:
    with serving(reply(302, Location="/again")) as server:
        assert "without end" in str(error(time, server))


@pytest.mark.parametrize(
    ("headers", "least_s", "most_s"),
    [
        ({"Retry_After": "120"}, 120, 120),
        ({"Retry_After": "Sun, 01 Mar 2026 00:02:00 GMT", "Date": "Sun, 01 Mar 2026 00:00:00 GMT"}, 120, 120),
        ({"Retry_After": "999999999"}, 86_400, 86_400),
        ({"Retry_After": "soon"}, 60, 72),
        ({}, 60, 72),
    ],
)
def test_a_service_that_is_asked_too_often_is_left_in_peace(
    time: Time, headers: dict[str, str], least_s: float, most_s: float
) -> None:
    asked = transport(time)
    with serving(reply(429, b"", **headers), OK) as server:
        caught = failing(asked, server.url)
        assert caught.transient
        assert least_s <= (caught.retry_after_s or 0) <= most_s
        time.now = least_s - 1
        assert "not asked for another" in str(failing(asked, server.url))
        assert len(server.heads) == 1
        time.now = most_s
        assert asked.get(server.url).status == 200


def test_each_refusal_in_a_row_doubles_the_pause(time: Time) -> None:
    asked = transport(time)
    with serving(reply(429)) as server:
        pauses = []
        for _ in range(8):
            pauses.append(failing(asked, server.url).retry_after_s or 0)
            time.now += pauses[-1]
    for number, pause_s in enumerate(pauses):
        assert min(60 * 2**number, 3600) <= pause_s <= 1.2 * min(60 * 2**number, 3600)


def test_a_service_that_fails_five_times_is_left_alone(time: Time) -> None:
    asked = transport(time)
    with serving(reply(500), reply(500), reply(500), reply(500), reply(500), reply(502), OK) as server:
        pauses = [failing(asked, server.url).retry_after_s for _ in range(5)]
        assert pauses[:4] == [None] * 4
        assert 60 <= (pauses[4] or 0) <= 72
        assert "not asked" in str(failing(asked, server.url))
        assert len(server.heads) == 5
        time.now += 72
        again = failing(asked, server.url)  # one try, no quick ones after it
        assert len(server.heads) == 6
        assert 120 <= (again.retry_after_s or 0) <= 144
        time.now += 144
        assert asked.get(server.url).status == 200
        assert asked.get(server.url).status == 200


def test_calls_keep_the_pace(time: Time) -> None:
    asked = transport(time, per_minute=8)
    with serving(OK) as server:
        at = []
        for _ in range(12):
            asked.get(server.url)
            at.append(time.now)
    assert max(sum(begin <= moment < begin + 60 for moment in at) for begin in at) <= 8
    assert at[-1] < 120


def test_a_call_that_would_have_to_wait_too_long_is_refused(time: Time) -> None:
    asked = transport(time, per_minute=0.5)
    with serving(OK) as server:
        asked.get(server.url)
        caught = failing(asked, server.url, total_s=10)
    assert caught.retry_after_s == pytest.approx(120)


def test_an_unchanged_reply_is_not_sent_again(time: Time) -> None:
    asked = transport(time)
    with serving(reply(200, b'{"value": 1}', ETag='"a"'), reply(304), reply(200, b"{}"), OK) as server:
        replies = [asked.get(server.url, params={"key": Secret(KEY)}) for _ in range(4)]
    assert [each.json() for each in replies] == [{"value": 1}, {"value": 1}, {}, {"value": 1}]
    assert ['If-None-Match: "a"' in head for head in server.heads] == [False, True, True, False]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[NaN]",
        b"[Infinity]",
        b"[1e999]",
        b"[" * 100_000,
        b"\xff",
        b"[1" + b"0" * 5000 + b"]",
    ],
)
def test_what_is_not_json_is_a_passing_error(time: Time, body: bytes) -> None:
    with serving(reply(200, body)) as server:
        got = transport(time).get(server.url)
    with pytest.raises(FeedError, match="no JSON") as caught:
        got.json()
    assert caught.value.transient


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/v1",
        "ftp://127.0.0.1/",
        "https://",
        "https://user:pw@example.org",
        "https://[",
        "x",
    ],
)
def test_an_address_that_would_show_a_key_is_refused(time: Time, url: str) -> None:
    caught = failing(transport(time), url)
    assert not caught.transient
    assert "pw" not in str(caught)


def test_neither_netrc_nor_proxies_touch_a_call_to_this_machine(
    time: Time, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with serving(OK) as server:
        transport(time).get(server.url)
    assert "Authorization" not in server.heads[0]


def raises(asked: Transport, url: str) -> FeedError | None:
    """What asking with a key raises, and reading the reply."""
    params, headers = {"api_key": Secret(KEY)}, {"Authorization": Secret(f"Bearer {KEY}")}
    try:
        asked.get(url, params=params, headers=headers).json()
    except FeedError as error:
        return error
    return None


ECHO = json.dumps({"error": f"api_key {KEY} and Basic and {KEY}%2B"}).encode()


@pytest.mark.parametrize(
    "act",
    [
        DROP,
        hold,
        reply(500, ECHO),
        reply(429, ECHO),
        reply(302, Location=f"http://example.org/?api_key={KEY}"),
        reply(302, Location=f"/?api_key={KEY}"),
        reply(200, ECHO[:-2]),
        send(b"HTTP/1.1 200 OK\r\nbroken header\r\nContent-Length: 2\r\n\r\n{}"),
        send(f"HTTP/1.1 200 OK\r\nContent-Length: {KEY}\r\n\r\n".encode()),
    ],
    ids=["drop", "hold", "500", "429", "other host", "endless", "no JSON", "bad header", "bad length"],
)
def test_no_error_and_no_log_shows_a_credential(
    time: Time, act: Act, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asked = transport(time, timeout_s=(1.0, 0.1))
    with serving(act) as server:
        raised = raises(asked, server.url + "/v1")
    if raised is not None:
        assert raised.__cause__ is None
        assert raised.__context__ is None
        assert KEY not in str(raised) + repr(raised)
        frames = [frame for frame, _ in traceback.walk_tb(raised.__traceback__)]
        inside = [frame.f_locals for frame in frames if "feeds" in frame.f_code.co_filename]
        assert inside
        assert KEY not in repr(inside)
    assert KEY not in caplog.text
    assert KEY in server.heads[0]


@pytest.mark.parametrize("prefix", ["", "Bearer ", "Token token=", "key:"])
def test_a_key_that_a_service_quotes_is_hidden_whatever_stands_before_it(time: Time, prefix: str) -> None:
    with serving(reply(500, f"no such key {KEY}".encode())) as server:
        caught = failing(transport(time), server.url, headers={"Authorization": Secret(prefix + KEY)})
    assert str(caught).endswith('answered 500: "no such key (hidden)"')


def test_a_refused_connection_shows_no_credential(time: Time) -> None:
    with serving(OK) as server:
        pass
    login = (Secret("me"), Secret(KEY))
    caught = failing(transport(time), server.url, params={"api_key": Secret(KEY)}, auth=login)
    assert "connection failed" in str(caught)
    assert KEY not in str(caught)
