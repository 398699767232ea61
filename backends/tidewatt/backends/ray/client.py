"""Ray's Jobs REST API, as far as we need it (docs.ray.io, "Ray Jobs REST API"; seen with Ray 2.60)."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from tidewatt.backends.backend import BackendError
from tidewatt.backends.desk import NotTakenError

_REFUSED = (400, 401, 403, 404, 413, 422)


class Client:
    """One cluster. All calls raise BackendError; none takes longer than its timeout or so."""

    def __init__(self, place: Mapping[str, Any]) -> None:
        self._address = str(place["address"])
        self._timeout_s = float(place.get("timeout_s", 10.0))
        self._token_file = place.get("token_file")

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs that the cluster remembers."""
        answer = self._json(self._call("GET", "/api/jobs/"))
        return answer if isinstance(answer, list) else []

    def job(self, name: str) -> dict[str, Any] | None:
        """One job, None where the cluster does not know it."""
        response = self._call("GET", f"/api/jobs/{name}", (404,))
        return None if response.status_code == 404 else self._json(response)

    def submit(self, body: Mapping[str, Any]) -> str:
        """Submits a job; one that is there already under its id is that one.

        Raises:
            NotTakenError: It certainly was not taken.
            BackendError: That is open.
        """
        try:
            response = self._request("POST", "/api/jobs/", json=body)
        except (requests.ConnectTimeout, requests.exceptions.InvalidURL) as error:
            raise NotTakenError(self._unreachable(error), transient=True) from error
        except requests.ConnectionError as error:
            kind = NotTakenError if "NewConnectionError" in repr(error) else BackendError
            raise kind(self._unreachable(error), transient=True) from error
        except requests.RequestException as error:
            raise BackendError(self._unreachable(error), transient=True) from error
        if response.status_code == 500 and "already exists" in response.text:
            return str(body["submission_id"])
        if response.status_code in _REFUSED:
            raise NotTakenError(self._said(response))
        if not response.ok:
            raise BackendError(self._said(response), transient=True)
        return str(self._json(response)["submission_id"])

    def stop(self, name: str) -> None:
        """Asks a job to end; one that is not there has."""
        self._call("POST", f"/api/jobs/{name}/stop", (404,))

    def logs(self, name: str) -> str:
        """All of a job's output that the cluster still has."""
        response = self._call("GET", f"/api/jobs/{name}/logs", (404,))
        return "" if response.status_code == 404 else str(self._json(response).get("logs") or "")

    def usage(self) -> dict[str, dict[str, tuple[float, float]]]:
        """Used and total of each resource, by node; empty where its monitor has not told yet.

        Ray writes the names in camel case here (`region_eu` is `regionEu`); compare them by `plain`.
        """
        answer = self._json(self._call("GET", "/api/cluster_status"))
        status = (answer.get("data") or {}).get("clusterStatus") or {}
        by_node = (status.get("loadMetricsReport") or {}).get("usageByNode") or {}
        return {
            node: {plain(name): (float(used), float(total)) for name, (used, total) in resources.items()}
            for node, resources in by_node.items()
        }

    def upload(self, name: str, content: bytes) -> str:
        """Keeps a package in the cluster; returns its URI."""
        uri = f"/api/packages/gcs/{name}"
        if self._call("GET", uri, (404,)).status_code == 404:
            self._call("PUT", uri, data=content)
        return f"gcs://{name}"

    def _call(self, method: str, path: str, allowed: tuple[int, ...] = (), **more: Any) -> requests.Response:
        try:
            response = self._request(method, path, **more)
        except requests.RequestException as error:
            raise BackendError(self._unreachable(error), transient=True) from error
        if not response.ok and response.status_code not in allowed:
            raise BackendError(self._said(response), transient=response.status_code >= 500)
        return response

    def _request(self, method: str, path: str, **more: Any) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False  # a .netrc would replace the token
            return session.request(
                method, self._address + path, headers=self._headers(), timeout=self._timeout_s, **more
            )

    def _headers(self) -> dict[str, str]:
        token = _token(self._token_file)
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _json(self, response: requests.Response) -> Any:
        try:
            return response.json()
        except ValueError as error:
            raise BackendError(f"Ray at {self._address} answered no JSON", transient=True) from error

    def _unreachable(self, error: requests.RequestException) -> str:
        return f"Ray at {self._address} cannot be reached ({type(error).__name__})"

    def _said(self, response: requests.Response) -> str:
        if response.status_code in (401, 403):
            return f"Ray at {self._address} refused its token: give the region's token_file the right one"
        last = response.text.strip().splitlines()[-1:] or [""]  # of a traceback
        return f"Ray at {self._address} answered {response.status_code}: {last[0][:300]}"


def plain(name: str) -> str:
    """A resource's name without what camel case changes in it."""
    return name.replace("_", "").casefold()


def _token(file: str | None) -> str:
    """The cluster's token: a 0600 file, or as Ray's own tools find it; "" where there is none."""
    if file is None:
        if token := os.environ.get("RAY_AUTH_TOKEN"):
            return token
        file = os.environ.get("RAY_AUTH_TOKEN_PATH") or str(Path.home() / ".ray" / "auth_token")
        if not Path(file).exists():
            return ""
    try:
        fd = os.open(Path(file).expanduser(), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise BackendError(f"Ray's token file {file} cannot be read: {error.strerror}") from error
    with open(fd) as opened:
        if stat.S_IMODE(os.fstat(fd).st_mode) & 0o077:
            raise BackendError(f"Ray's token file {file} can be read by others: chmod 600 it")
        return opened.read().strip()
