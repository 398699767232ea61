"""The API of a cluster over HTTP: what each request asks for, and how it is answered."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from tests.kubernetes.objects import KINDS, Form, Key, RefusedError, fits
from tests.kubernetes.patches import patched

if TYPE_CHECKING:
    from tests.kubernetes.server import StandIn

TURN_S = 0.02
ADMIN = "the-administrators-token"
DAEMON = "the-daemons-token"


class BrokenError(Exception):
    """The line breaks without an answer."""


class Handler(BaseHTTPRequestHandler):
    stand_in: "StandIn"
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing: the requests are in a list."""

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815

    def _answer(self) -> None:
        cluster, url = self.stand_in, urlsplit(self.path)
        cluster.requests.append(f"{self.command} {self.path}")
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        cluster.bodies.append(body)
        faults = [each for each in cluster.faults if each.takes(self.command, url.path)]
        try:
            if cluster.down or any(each.lose for each in faults):
                raise BrokenError
            for each in faults:
                if each.code:
                    raise RefusedError(
                        each.code, "TooManyRequests" if each.code == 429 else "InternalError", "later"
                    )
            answer = Call(cluster, self, url.path, dict(parse_qsl(url.query, True)), body).answer()
            if any(each.mute for each in faults):
                raise BrokenError
            if answer is not None:
                code, form = answer
                self.sent(code, form if isinstance(form, bytes) else json.dumps(form).encode())
        except RefusedError as error:
            self.sent(error.code, json.dumps(_status(error)).encode())
        except (BrokenError, BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def sent(self, code: int, content: bytes) -> None:
        """Sends a whole answer."""
        self.send_response(code)
        kind = "application/json" if content[:1] in b"{[" else "text/plain"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def streamed(self, kind: str, pieces: Iterator[bytes]) -> None:
        """Sends pieces as they come."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            if self.stand_in.down:
                raise BrokenError
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


@dataclass
class Call:
    """One request, taken apart."""

    cluster: "StandIn"
    handler: Handler
    path: str
    query: dict[str, str]
    body: bytes

    def answer(self) -> tuple[int, Form | bytes] | None:
        """Status and body; None where they were sent piece by piece."""
        parts = [part for part in self.path.split("/") if part]
        self._known()
        if (found := _discovery(parts, self.cluster.release)) is not None:
            return 200, found
        group = parts[1] if parts[0] == "apis" else ""
        rest = parts[3:] if group else parts[2:]
        namespace = rest[1] if rest[:1] == ["namespaces"] and len(rest) > 2 else ""
        rest = rest[2:] if namespace else rest
        plural, name, sub = (*rest, "", "", "")[:3]
        if plural not in KINDS or KINDS[plural][0] != "/".join(parts[1:3] if group else parts[1:2]):
            raise RefusedError(404, "NotFound", "the server could not find the requested resource")
        self._allowed(group, f"{plural}/{sub}" if sub else plural, name, namespace)
        key = Key(plural, namespace, name)
        if sub == "log":
            return self._log(key)
        if not name:
            return self._many(plural, namespace)
        return self._one(key)

    def _known(self) -> None:
        token = (self.handler.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in (ADMIN, DAEMON):
            raise RefusedError(401, "Unauthorized", "Unauthorized")

    def _allowed(self, group: str, resource: str, name: str, namespace: str) -> None:
        token = (self.handler.headers.get("Authorization") or "").removeprefix("Bearer ")
        if self.cluster.rights is None or token == ADMIN:
            return
        verbs = {"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}
        read = "get" if name else "watch" if self._on("watch") else "list"
        self.cluster.rights.check(group, resource, verbs.get(self.handler.command, read), namespace)

    def _many(self, plural: str, namespace: str) -> tuple[int, Form | bytes] | None:
        version, kind, _ = KINDS[plural]
        if self.handler.command == "POST":
            form = self._form()
            name = form.get("metadata", {}).get("name") or ""
            form["metadata"].setdefault("namespace", namespace)
            if form["metadata"]["namespace"] != namespace:
                raise RefusedError(400, "BadRequest", "the namespace of the object is another one")
            return 201, self.cluster.store.create(Key(plural, namespace, name), form)
        if self.handler.command != "GET":
            raise RefusedError(405, "MethodNotAllowed", "the server does not allow this method")
        if self._on("watch"):
            self.handler.streamed("application/json", self._watched(plural, namespace))
            return None
        items = [each for each in self.cluster.store.of(plural, namespace) if self._fits(each)]
        at, limit = int(self.query.get("continue") or 0), int(self.query.get("limit") or 0) or len(items)
        metadata = {"resourceVersion": str(self.cluster.store.version)}
        if len(items) > at + limit:
            metadata["continue"] = str(at + limit)
        page = items[at : at + limit]
        return 200, {"apiVersion": version, "kind": f"{kind}List", "metadata": metadata, "items": page}

    def _one(self, key: Key) -> tuple[int, Form | bytes]:
        store = self.cluster.store
        if not self.cluster.sees(key.name) and self.handler.command == "GET":
            raise RefusedError(404, "NotFound", f'{key.plural} "{key.name}" not found')
        match self.handler.command:
            case "GET":
                return 200, store.find(key)
            case "PATCH":
                with store.changed:
                    kind = self.handler.headers.get("Content-Type") or ""
                    return 200, store.replace(key, patched(store.find(key), self._json(), kind))
            case "PUT":
                return 200, store.replace(key, self._form())
            case "DELETE":
                return 200, self._delete(key)
        raise RefusedError(405, "MethodNotAllowed", "the server does not allow this method")

    def _delete(self, key: Key) -> Form:
        store, options = self.cluster.store, self._json() if self.body else {}
        with store.changed:
            form = store.find(key)
            wanted = (options.get("preconditions") or {}).get("uid")
            if wanted and wanted != form["metadata"]["uid"]:
                raise RefusedError(409, "Conflict", "Precondition failed: UID in precondition")
            if key.plural == "pods":
                grace_s = options.get("gracePeriodSeconds", self.query.get("gracePeriodSeconds"))
                default_s = form["spec"].get("terminationGracePeriodSeconds", 30)
                store.mark_deleted(key, int(default_s if grace_s is None else grace_s))
            else:
                store.remove(key)
        return {"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success"}

    def _watched(self, plural: str, namespace: str) -> Iterator[bytes]:
        store = self.cluster.store
        with store.changed:
            version = int(self.query.get("resourceVersion") or 0) or store.version
            there = [] if self.query.get("resourceVersion") else store.of(plural, namespace)
            first = [json.dumps({"type": "ADDED", "object": each}) for each in there if self._fits(each)]
        for line in first:
            yield line.encode() + b"\n"
        for kind, key, form in store.since(version, plural, float(self.query.get("timeoutSeconds") or 60)):
            if namespace in ("", key.namespace) and self._fits(form):
                yield json.dumps({"type": kind, "object": form}).encode() + b"\n"

    def _fits(self, form: Form) -> bool:
        labels, fields = self.query.get("labelSelector", ""), self.query.get("fieldSelector", "")
        return self.cluster.sees(form["metadata"]["name"]) and fits(form, labels, fields)

    def _log(self, key: Key) -> tuple[int, Form | bytes] | None:
        pod = self.cluster.store.find(key)
        container = self.cluster.kubelet.logs.get(pod["metadata"]["uid"])
        if container is None:
            raise RefusedError(400, "BadRequest", "container is waiting to start")
        if self._on("follow"):
            self.handler.streamed("text/plain", self._followed(container))
            return None
        text = b"".join(self._line(at, line) for at, line in list(container.lines) if self._since(at))
        limit = self.query.get("limitBytes")
        return 200, text[: int(limit)] if limit else text

    def _followed(self, container: Any) -> Iterator[bytes]:
        sent = 0
        while True:
            over = container.ended
            for at, line in container.lines[sent:]:
                sent += 1
                if self._since(at):
                    yield self._line(at, line)
            if over:
                return
            time.sleep(TURN_S)

    def _since(self, at: str) -> bool:
        return at[:19] >= self.query.get("sinceTime", "")[:19]

    def _line(self, at: str, line: bytes) -> bytes:
        return at.encode() + b" " + line if self._on("timestamps") else line

    def _on(self, name: str) -> bool:
        """Whether a parameter says yes; clients write it in several ways."""
        return self.query.get(name, "").lower() in ("true", "1")

    def _form(self) -> Form:
        form = self._json()
        if not isinstance(form, dict) or not isinstance(form.get("metadata"), dict):
            raise RefusedError(400, "BadRequest", "this is no object")
        return form

    def _json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise RefusedError(400, "BadRequest", f"this is no JSON: {error}") from error


def _status(error: RefusedError) -> Form:
    return {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": str(error), "reason": error.reason, "code": error.code,
    }  # fmt: skip


def _discovery(parts: list[str], release: str) -> Form | None:
    """What clients ask first: releases, groups and kinds."""
    match parts:
        case ["version"]:
            major, minor = release.split(".")
            return {"major": major, "minor": minor, "gitVersion": f"v{release}.0"}
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["apis"]:
            version = {"groupVersion": "batch/v1", "version": "v1"}
            group = {"name": "batch", "versions": [version], "preferredVersion": version}
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]}
        case ["api", "v1"] | ["apis", "batch", "v1"]:
            group_version = "/".join(parts[1:])
            verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
            kinds = [
                {
                    "name": plural,
                    "singularName": kind.lower(),
                    "kind": kind,
                    "namespaced": inside,
                    "verbs": verbs,
                }
                for plural, (version, kind, inside) in KINDS.items()
                if version == group_version
            ]
            return {"kind": "APIResourceList", "groupVersion": group_version, "resources": kinds}
    return None
