"""The way into a cluster: its address, what its certificate is checked by, and who we say that we are."""

import base64
import json
import os
import ssl
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tidewatt.backends.backend import BackendError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_PLUGIN_S = 30.0
_FRESH_S = 60.0  # a token in a file is replaced now and then
_EARLY_S = 30.0  # a token is given up so long before it expires


@dataclass(frozen=True, slots=True)
class Access:
    """One cluster as one user. `token` is good until `until_s` of the monotonic clock. Never printed."""

    server: str
    tls: ssl.SSLContext | None
    token: str = ""
    until_s: float = float("inf")
    proxy: str = ""

    def __repr__(self) -> str:
        """Only where it leads."""
        return f"Access({self.server})"


def chosen(path: Path | None, context: str) -> tuple[Path, str]:
    """The file and the context that are meant: where none is named, what they are now.

    Raises:
        BackendError: No context is named, and the file has no current one, or cannot be read.
    """
    path = (path or _default()).expanduser().absolute()
    name = context or str(_read(path).get("current-context") or "")
    if not name:
        raise BackendError(f"{path} has no current context: name one, context = ...")
    return path, name


def of_kubeconfig(path: Path, name: str) -> Access:
    """The way that a context of a kubeconfig describes.

    Raises:
        BackendError: The file is not there, says something else, or asks for a way that is not known here.
    """
    form = _read(path)
    meant = _named(form, "contexts", name, path)["context"]
    cluster = _named(form, "clusters", meant.get("cluster", ""), path)["cluster"]
    user = _named(form, "users", meant["user"], path)["user"] if meant.get("user") else {}
    server = str(cluster.get("server", "")).rstrip("/")
    tls = _tls(cluster, user or {}, path) if server.startswith("https://") else None
    token, until_s = _token(user or {}, path)
    if tls is None and not _stays_here(server):
        raise BackendError(f"the context {name!r} of {path} leads to {server!r}: only https is safe")
    return Access(server, tls, token, until_s, str(cluster.get("proxy-url") or ""))


def _stays_here(server: str) -> bool:
    """Whether an address without encryption leads to this host."""
    try:
        parts = urlsplit(server)
        host = parts.hostname or ""
        return parts.scheme == "http" and (host == "localhost" or ip_address(host).is_loopback)
    except ValueError:  # the name of another one
        return False


def in_cluster(folder: Path = SERVICE_ACCOUNT, environ: Mapping[str, str] = os.environ) -> Access:
    """The way that a pod's own service account describes.

    Raises:
        BackendError: This process runs in no pod, or the pod has no token.
    """
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise BackendError("in_cluster = true, but this is no pod: name a kubeconfig and a context instead")
    try:
        token = (folder / "token").read_text().strip()
        tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    except (OSError, ssl.SSLError) as error:
        raise BackendError(f"the pod's service account cannot be read from {folder}: {error}") from error
    literal = f"[{host}]" if ":" in host else host
    return Access(f"https://{literal}:{port}", tls, token, time.monotonic() + _FRESH_S)


def _default() -> Path:
    """Only the first file of a list: kubectl would merge them."""
    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(named) if named else Path.home() / ".kube" / "config"


def _read(path: Path) -> dict[str, Any]:
    import yaml  # only here: an extra

    try:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = error.strerror if isinstance(error, OSError) else type(error).__name__  # never its content
        raise BackendError(f"the kubeconfig {path} cannot be read: {said}") from None
    if not isinstance(form, dict):
        raise BackendError(f"{path} is no kubeconfig")
    return form


def _named(form: dict[str, Any], kind: str, name: str, path: Path) -> dict[str, Any]:
    entries = [each for each in form.get(kind) or () if isinstance(each, dict)]
    for each in entries:
        if each.get("name") == name and isinstance(each.get(kind[:-1]), dict):
            return each
    known = ", ".join(str(each.get("name")) for each in entries) or "none"
    raise BackendError(f"{path} has no {kind[:-1]} {name!r}: there are {known}")


def _tls(cluster: dict[str, Any], user: dict[str, Any], path: Path) -> ssl.SSLContext:
    try:
        authority = _content(cluster, "certificate-authority", path)
        context = ssl.create_default_context(cadata=authority.decode("ascii") if authority else None)
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        certificate, key = (_content(user, f"client-{part}", path) for part in ("certificate", "key"))
        if certificate and key:
            _present(context, certificate + b"\n" + key)
        return context
    except (OSError, ValueError) as error:
        raise BackendError(f"the certificates that {path} names cannot be used: {error}") from None


def _present(context: ssl.SSLContext, chain: bytes) -> None:
    """Loads certificate and key, which OpenSSL only reads from files: from one in memory."""
    fd = os.memfd_create("client", os.MFD_CLOEXEC)
    with open(fd, "wb") as file:
        file.write(chain)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{fd}")


def _content(part: dict[str, Any], key: str, path: Path) -> bytes:
    """What stands inline, or in the file that is named, relative to the kubeconfig."""
    if part.get(f"{key}-data"):
        return base64.b64decode(str(part[f"{key}-data"]), validate=True)
    return (path.parent / str(part[key])).read_bytes() if part.get(key) else b""


def _token(user: dict[str, Any], path: Path) -> tuple[str, float]:
    if user.get("tokenFile"):
        try:
            token = (path.parent / str(user["tokenFile"])).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise BackendError(f"{user['tokenFile']}: {error.strerror}") from error
        return token, time.monotonic() + _FRESH_S
    if user.get("token"):
        return str(user["token"]), float("inf")
    if user.get("exec"):
        return _plugin(user["exec"], path)
    for word in ("username", "auth-provider"):
        if user.get(word):
            raise BackendError(f"{path} asks for {word}, which clusters no longer know: use a token or exec")
    return "", float("inf")


def _plugin(form: dict[str, Any], path: Path) -> tuple[str, float]:
    """Runs a credential plugin that prints a token; its arguments are passed as they are, without a shell."""
    command = [str(form.get("command", "")), *(str(each) for each in form.get("args") or ())]
    if form.get("interactiveMode") == "Always":
        raise BackendError(f"the plugin {command[0]!r} of {path} asks a person: use a token")
    extra = {str(each["name"]): str(each["value"]) for each in form.get("env") or ()}
    info = {"apiVersion": form.get("apiVersion"), "kind": "ExecCredential", "spec": {"interactive": False}}
    environ = os.environ | extra | {"KUBERNETES_EXEC_INFO": json.dumps(info)}
    try:
        done = subprocess.run(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PLUGIN_S,
            check=False,
        )
        status = json.loads(done.stdout)["status"]
        token, expires = str(status["token"]), status.get("expirationTimestamp")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackendError(f"the plugin {command[0]!r} of {path} fails: {error}", transient=True) from None
    except (ValueError, KeyError, TypeError):
        raise BackendError(
            f"the plugin {command[0]!r} of {path} prints no token: only those that print one can be used",
            transient=True,
        ) from None
    if not expires:
        return token, time.monotonic() + _FRESH_S
    left_s = datetime.fromisoformat(str(expires).replace("Z", "+00:00")).timestamp() - time.time()
    return token, time.monotonic() + max(1.0, left_s - _EARLY_S)
