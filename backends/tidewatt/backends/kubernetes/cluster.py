"""One cluster's HTTP interface: plain JSON, each call bounded, every error one sentence."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import requests
from requests.adapters import HTTPAdapter

from tidewatt.backends.backend import BackendError
from tidewatt.backends.kubernetes.access import Access

Form = dict[str, Any]
PAGE = 1000
_CONNECT_S = 5.0
_READ_S = 20.0
_LATER = (408, 410, 429, 500, 502, 503, 504)


class StatusError(BackendError):
    """The cluster refused a call; `code` is the HTTP status, `reason` its own word ("AlreadyExists")."""

    def __init__(self, message: str, code: int, reason: str) -> None:
        super().__init__(message, transient=code in _LATER)
        self.code = code
        self.reason = reason


@dataclass(slots=True)
class Cluster:
    """Talks to one cluster. `way` finds access anew once it has expired. From several threads."""

    way: Callable[[], Access]
    read_s: float = _READ_S
    calls: int = 0  # so many requests were made, for those who count them
    _access: Access | None = None
    _sessions: threading.local = field(default_factory=threading.local)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def find(self, path: str) -> Form | None:
        """The object there, None where there is none."""
        try:
            return self._json("GET", path)
        except StatusError as error:
            if error.code == 404:
                return None
            raise

    def listed(self, path: str, selector: str = "", fields: str = "") -> list[Form]:
        """All objects of a kind that the selectors fit, page by page, as they are now."""
        found: list[Form] = []
        query = {"limit": str(PAGE), "labelSelector": selector, "fieldSelector": fields}
        query = {name: value for name, value in query.items() if value}
        while True:
            answer = self._json("GET", path, query=query)
            found += answer.get("items") or ()
            more = answer.get("metadata", {}).get("continue")
            if not more:
                return found
            query["continue"] = more

    def version(self, path: str, selector: str) -> tuple[list[Form], str]:
        """The objects that a selector fits, and the version from which to watch what becomes of them."""
        answer = self._json("GET", path, query={"limit": str(PAGE), "labelSelector": selector})
        return list(answer.get("items") or ()), str(answer["metadata"]["resourceVersion"])

    def create(self, path: str, form: Form) -> Form:
        """Makes the object; a StatusError with the code 409 where one of its name is there."""
        return self._json("POST", path, form)

    def patch(self, path: str, steps: list[Form]) -> Form:
        """Changes the object by JSON patch; a StatusError with the code 422 where a `test` does not hold."""
        return self._json("PATCH", path, steps, kind="application/json-patch+json")

    def delete(self, path: str, options: Form) -> bool:
        """Asks for its deletion; False where it is not there."""
        try:
            self._json("DELETE", path, options)
        except StatusError as error:
            if error.code == 404:
                return False
            raise
        return True

    def text(self, path: str, query: Mapping[str, str]) -> bytes | None:
        """The bytes of a log, None where there is none (any more, or yet)."""
        try:
            return self._send("GET", path, query=query).content
        except StatusError as error:
            if error.code in (400, 404):  # 400: its container has not started
                return None
            raise

    def stream(self, path: str, query: Mapping[str, str], read_s: float) -> Iterator[bytes]:
        """The lines of an answer that goes on, until the cluster ends it or is silent for `read_s`."""
        with self._send("GET", path, query=query, stream=True, read_s=read_s) as answer:
            try:
                yield from answer.iter_lines()
            except requests.RequestException as error:
                raise BackendError(f"the cluster's answer broke off: {error}", transient=True) from error

    def _json(
        self,
        method: str,
        path: str,
        body: Form | list[Form] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        kind: str = "application/json",
    ) -> Form:
        answer = self._send(method, path, body, query=query, kind=kind)
        try:
            form = answer.json()
        except ValueError:
            form = None
        if not isinstance(form, dict):
            raise BackendError(f"{method} {path}: the answer is not from a Kubernetes API", transient=True)
        return cast(Form, form)

    def _send(
        self,
        method: str,
        path: str,
        body: Form | list[Form] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        kind: str = "application/json",
        stream: bool = False,
        read_s: float = 0.0,
    ) -> requests.Response:
        """The answer to one request, after a second try where only the token was too old."""
        for last in (False, True):
            access = self._current(anew=last)
            headers = {"Content-Type": kind} | (
                {"Authorization": f"Bearer {access.token}"} if access.token else {}
            )
            self.calls += 1
            try:
                answer = self._session(access).request(
                    method, access.server + path, params=query, json=body, headers=headers, stream=stream,
                    timeout=(_CONNECT_S, read_s or self.read_s), allow_redirects=False,
                    proxies={"https": access.proxy} if access.proxy else None,
                )  # fmt: skip
            except requests.RequestException as error:
                said = f"{access.server} does not answer: {type(error).__name__}"
                raise BackendError(said, transient=True) from error
            if answer.status_code == 401 and not last:
                continue
            return _accepted(answer, method, path, access.server)
        raise AssertionError  # the second time round always leaves

    def _current(self, anew: bool) -> Access:
        with self._guard:
            if self._access is None or anew or time.monotonic() > self._access.until_s:
                self._access = self.way()
            return self._access

    def _session(self, access: Access) -> requests.Session:
        """One session a thread and a way in: connections stay open between calls."""
        kept = getattr(self._sessions, "kept", None)
        if kept is None or kept[0] is not access:
            session = requests.Session()
            session.auth = _as_it_is  # a ~/.netrc must not take the token's place
            if access.tls is not None:
                session.verify = access.tls.check_hostname
                session.mount("https://", _Adapter(access.tls))
            self._sessions.kept = kept = (access, session)
        return cast(requests.Session, kept[1])


class _Adapter(HTTPAdapter):
    """Uses the cluster's own authority and our certificate."""

    def __init__(self, tls: Any) -> None:
        self._tls = tls
        super().__init__()

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        super().init_poolmanager(*args, **more, ssl_context=self._tls)

    def proxy_manager_for(self, *args: Any, **more: Any) -> Any:
        return super().proxy_manager_for(*args, **more, ssl_context=self._tls)

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """The context has the cluster's authority already; the public ones are not to be added."""


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _accepted(answer: requests.Response, method: str, path: str, server: str) -> requests.Response:
    code = answer.status_code
    if code < 300:
        return answer
    try:
        form = answer.json()
        said, reason = str(form.get("message", "")), str(form.get("reason", ""))
    except (ValueError, AttributeError, requests.RequestException):
        said, reason = answer.reason or "", ""
    hint = {
        401: ": the credentials are not accepted, renew them",
        403: ": ask for the rights in configs/kubernetes/rbac.yaml",
    }.get(code, "")
    raise StatusError(f"{server} refuses {method} {path} ({code} {reason}): {said[:500]}{hint}", code, reason)
