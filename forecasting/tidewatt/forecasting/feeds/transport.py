"""Polite and careful HTTP: how every feed asks its service."""

import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import NoReturn
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as PoolTimeout

from tidewatt.forecasting.feeds.deadline import Deadline
from tidewatt.forecasting.feeds.feed import FeedError
from tidewatt.forecasting.feeds.patience import Breaker, Bucket, backing_off_s
from tidewatt.forecasting.feeds.reply import MIB, Failure, Reply, excerpt, retry_after_s, unpacked
from tidewatt.forecasting.feeds.secret import Secret
from tidewatt.forecasting.feeds.session import NoLogin, own_session
from tidewatt.forecasting.feeds.unchanged import Unchanged

CHUNK_BYTES = 65_536
QUICK_RETRIES = 2
QUICK = (502, 503, 504)  # seen while a service restarts: worth another try at once
TOO_MANY = 429
REDIRECTS = (301, 302, 303, 307, 308)
LONGEST_REDIRECTION = 3
LOOPBACK = ("localhost", "127.0.0.1", "::1")
NO_PROXY = {"http": None, "https": None, "all": None}
Words = Mapping[str, str | Secret]
Pairs = Mapping[str, str | int | float | Secret]
Login = tuple[str | Secret, str | Secret]


@dataclass(frozen=True, slots=True)
class Request:
    """One GET, credentials still hidden; `place` is what of its address may be shown."""

    url: str = field(repr=False)  # after a redirection it is what the service wrote
    params: Pairs
    headers: Words
    auth: Login | None
    place: str

    def secrets(self) -> list[Secret]:
        """The credentials that it carries, in every shape in which a reply might quote them."""
        values = (*self.params.values(), *self.headers.values(), *(self.auth or ()))
        carried = [value for value in values if isinstance(value, Secret)]
        tokens = [Secret(re.split(r"[\s=:;,]", value.reveal())[-1]) for value in carried]  # "Bearer TOKEN"
        login = [Secret(":".join(map(_plain, self.auth)))] if self.auth else []
        return [*carried, *tokens, *login]


class Transport:
    """GET requests to one service: paced, bounded in size and time, left alone after failures in a row.

    `timeout_s`: for connecting, and between two bytes. `per_minute`: calls in any one minute. `quiet_s`: the
    first pause after a 429 that does not say how long. Waits and time go through `clock` and `wait`.
    Nothing that it raises, logs or keeps holds a query string or a credential. One call at a time.
    """

    def __init__(
        self,
        name: str,
        *,
        timeout_s: tuple[float, float] = (5.0, 20.0),
        largest_bytes: int = 16 * MIB,
        per_minute: float | None = None,
        quiet_s: float = 60.0,
        session: requests.Session | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
        chance: random.Random | None = None,
    ) -> None:
        self.name = name
        self._timeout_s = timeout_s
        self._largest_bytes = largest_bytes
        self._quiet_s = quiet_s
        self._clock, self._wait = clock, wait
        self._chance = chance or random.Random()  # noqa: S311  # for jitter, not for secrets
        self._session = session or own_session()
        self._bucket = None if per_minute is None else Bucket(per_minute, clock)
        self._breaker = Breaker(clock, self._chance)
        self._not_before = float("-inf")
        self._refusals = 0
        self._unchanged = Unchanged()
        self._lock = Lock()

    def get(
        self,
        url: str,
        *,
        params: Pairs | None = None,
        headers: Words | None = None,
        auth: Login | None = None,
        total_s: float = 60.0,
    ) -> Reply:
        """The reply, whatever its status below 500 but for 429; whole or not at all, within `total_s`.

        What has not changed since it was asked for in the same words is not sent again.

        Raises:
            FeedError: transient for 429, 5xx, lost connections, time-outs, and while the service is left in
                peace; final for an address that is not https (nor http on this machine) or leads elsewhere.
        """
        place, params, headers = _place(self.name, url), params or {}, headers or {}
        asked = (url, tuple(params.items()), tuple(headers.items()), auth)
        ends = self._clock() + total_s
        if not self._lock.acquire(timeout=total_s):
            raise FeedError(f"{self.name} is still busy with another call", transient=True)
        try:
            conditions = self._unchanged.conditions(asked)
            reply = self._asked(Request(url, params, {**headers, **conditions}, auth, place), ends)
            return self._unchanged.whole(asked, reply)
        finally:
            self._lock.release()

    def _asked(self, request: Request, ends: float) -> Reply:
        """The reply of the first try that brings one."""
        self._check_peace()
        tries = 1 if self._breaker.doubted else 1 + QUICK_RETRIES
        while True:
            self._take_turn(ends)
            answer = self._followed(request, ends)
            if isinstance(answer, Reply):
                self._breaker.succeeded()
                self._refusals = 0
                return answer
            tries -= 1
            if not answer.quick or not tries or self._clock() >= ends:
                self._give_up(answer)
            self._wait(0.5 * self._chance.uniform(0.8, 1.6))

    def _give_up(self, failure: Failure) -> NoReturn:
        """Raises, and remembers how long to leave the service in peace."""
        pause_s = failure.retry_after_s
        if failure.too_many:
            if pause_s is None:
                pause_s = backing_off_s(self._refusals, self._quiet_s, self._chance)
            self._refusals += 1
        elif failure.transient:
            self._breaker.failed()
            pause_s = max(pause_s or 0.0, self._breaker.open_s()) or None
        if pause_s is not None:
            self._not_before = self._clock() + pause_s
        raise FeedError(failure.text, transient=failure.transient, retry_after_s=pause_s)

    def _check_peace(self) -> None:
        """Refuses a call while the service asked for a pause or has failed too often."""
        left_s = max(self._not_before - self._clock(), self._breaker.open_s())
        if left_s > 0:
            raise FeedError(
                f"{self.name} is not asked for another {left_s:.0f} s: it failed or asked for a pause",
                transient=True,
                retry_after_s=left_s,
            )

    def _take_turn(self, ends: float) -> None:
        """Waits for the pace that the service allows."""
        if self._bucket is None:
            return
        delay_s = self._bucket.delay_s()
        if self._clock() + delay_s > ends:
            text = f"{self.name} allows no more calls for {delay_s:.0f} s"
            raise FeedError(text, transient=True, retry_after_s=delay_s)
        if delay_s > 0:
            self._wait(delay_s)
        self._bucket.take()

    def _followed(self, request: Request, ends: float) -> Reply | Failure:
        """The reply after redirections, which never lead to another host: a key must not leave."""
        for _ in range(LONGEST_REDIRECTION + 1):
            answer = self._once(request, ends)
            if isinstance(answer, Failure) or answer.status not in REDIRECTS:
                return answer
            onward = _onward(request, answer.headers.get("location", ""))
            if onward is None:
                text = f"{request.place} leads to another host: this is not followed; check the address"
                return Failure(text, transient=False)
            request = onward
        return Failure(f"{request.place} leads from one address to the next without end", transient=False)

    def _once(self, request: Request, ends: float) -> Reply | Failure:
        """One exchange. Errors of the HTTP libraries quote whole addresses: none is passed on or chained."""
        place, limit_s = request.place, ends - self._clock()
        deadline = Deadline(limit_s)
        try:
            with deadline, self._opened(request) as response:
                coding = response.headers.get("Content-Encoding", "").strip().lower()
                chunks = response.raw.stream(CHUNK_BYTES, decode_content=False)
                body = unpacked(chunks, coding, self._largest_bytes)
                headers = {key.lower(): value for key, value in response.headers.items()}
                answer = _judged(self.name, request, response.status_code, headers, body)
        except requests.exceptions.SSLError:
            answer = Failure(f"{place}: its certificate cannot be verified")
        except (requests.Timeout, PoolTimeout):
            answer = Failure(f"{place} did not answer in time")
        except (ValueError, LookupError):
            answer = Failure(f"{place}: the request could not be sent or its reply not be read")
        except (HTTPError, OSError):  # all that requests raises is an OSError
            answer = Failure(f"{place}: the connection failed", quick=True)
        if deadline.expired:
            return Failure(f"{place} was cut off after {limit_s:.3g} s: it answers too slowly")
        return answer

    def _opened(self, request: Request) -> requests.Response:
        """The response, its body not yet read. The machine itself is never asked through a proxy."""
        local = urlsplit(request.url).hostname in LOOPBACK
        auth = request.auth
        return self._session.get(
            request.url,
            params={key: _plain(value) for key, value in request.params.items()},
            headers={"Accept-Encoding": "gzip"} | {k: _plain(v) for k, v in request.headers.items()},
            auth=NoLogin() if auth is None else HTTPBasicAuth(_plain(auth[0]), _plain(auth[1])),
            timeout=self._timeout_s,
            allow_redirects=False,
            stream=True,
            proxies=NO_PROXY if local else None,  # type: ignore[arg-type]  # None switches a proxy off
        )


def _judged(
    name: str, request: Request, status: int, headers: Mapping[str, str], body: bytes | Failure
) -> Reply | Failure:
    """The reply, or why it is none."""
    if isinstance(body, Failure):
        return Failure(f"{request.place} {body.text}", quick=body.quick)
    said = excerpt(body, request.secrets())
    if status < 500 and status != TOO_MANY:
        return Reply(name, status, headers, body, said)
    pause_s = retry_after_s(headers)
    if status == TOO_MANY:
        text = f"{request.place} answered 429: too many calls"
        return Failure(text, retry_after_s=pause_s, too_many=True)
    quoted = f': "{said}"' if said else ""
    quick = status in QUICK and pause_s is None
    return Failure(f"{request.place} answered {status}{quoted}", quick=quick, retry_after_s=pause_s)


def _place(name: str, url: str) -> str:
    """The part of an address that may be shown; refused unless https, or http on this machine, no login."""
    try:
        parts = urlsplit(url)
        scheme, host, port = _origin(url)
    except ValueError:
        raise FeedError(f"{name}: its address cannot be read") from None
    if not host or (scheme != "https" and not (scheme == "http" and host in LOOPBACK)):
        raise FeedError(f"{name}: its address must begin with https:// and name a host")
    if parts.username is not None or parts.password is not None:
        text = f"{name}: its address on {host} holds a login: name the credential in the settings instead"
        raise FeedError(text)
    return f"{name} ({host}{'' if port is None else f':{port}'}{parts.path})"


def _origin(url: str) -> tuple[str, str, int | None]:
    parts: SplitResult = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port


def _onward(request: Request, location: str) -> Request | None:
    """The request that a redirection asks for; None where it leads anywhere else than to the same host."""
    try:
        onward = replace(request, url=urljoin(request.url, location), params={})
        return onward if _origin(onward.url) == _origin(request.url) else None
    except ValueError:
        return None


def _plain(value: str | float | Secret) -> str:
    """The text to send."""
    return value.reveal() if isinstance(value, Secret) else str(value)
