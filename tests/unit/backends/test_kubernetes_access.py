"""The way into a cluster, as kubeconfigs and pods describe it."""

import json
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.authority import Authority
from tidewatt.backends.backend import BackendError
from tidewatt.backends.kubernetes import access

SERVER = "http://127.0.0.1:1"


def written(folder: Path, user: dict[str, Any] | None = None, **cluster: Any) -> Path:
    form = {
        "current-context": "eu",
        "contexts": [{"name": "eu", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": SERVER} | cluster}],
        "users": [{"name": "u", "user": user or {"token": "word"}}],
    }
    path = folder / "config"
    path.write_text(json.dumps(form))
    return path


def test_current_context_is_written_down_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(written(tmp_path)))
    assert access.chosen(None, "") == (tmp_path / "config", "eu")


def test_token_is_never_in_the_text_of_the_way(tmp_path: Path) -> None:
    found = access.of_kubeconfig(written(tmp_path), "eu")
    assert (found.server, found.token) == (SERVER, "word")
    assert "word" not in repr(found)


def test_token_in_a_file_is_read_again_after_a_while(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    found = access.of_kubeconfig(written(tmp_path, {"tokenFile": "token"}), "eu")
    assert found.token == "first"
    assert found.until_s < time.monotonic() + 3600


def test_certificates_may_stand_in_the_file(tmp_path: Path) -> None:
    cluster, user = Authority(tmp_path).parts()
    found = access.of_kubeconfig(written(tmp_path, user, server="https://127.0.0.1:1", **cluster), "eu")
    assert isinstance(found.tls, ssl.SSLContext)
    assert found.tls.verify_mode is ssl.CERT_REQUIRED


def test_plugin_that_prints_a_token_is_run_without_a_shell(tmp_path: Path) -> None:
    status = {"token": "printed", "expirationTimestamp": "2999-01-01T00:00:00Z"}
    words = ["-c", f"print({json.dumps(json.dumps({'status': status}))})"]
    plugin = {"command": "python3", "args": words, "apiVersion": "client.authentication.k8s.io/v1"}
    assert access.of_kubeconfig(written(tmp_path, {"exec": plugin}), "eu").token == "printed"


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"username": "u", "password": "p"}, "no longer know"),
        ({"exec": {"command": "false", "interactiveMode": "Always"}}, "asks a person"),
        ({"exec": {"command": "true"}}, "prints no token"),
        ({"exec": {"command": "/nowhere/plugin"}}, "fails"),
        ({"tokenFile": "nowhere"}, "nowhere"),
    ],
)
def test_way_that_is_not_known_is_refused_with_a_word(
    tmp_path: Path, user: dict[str, Any], words: str
) -> None:
    with pytest.raises(BackendError, match=words):
        access.of_kubeconfig(written(tmp_path, user), "eu")


def test_token_is_not_sent_without_encryption(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="only https"):
        access.of_kubeconfig(written(tmp_path, server="http://cluster.example.org"), "eu")


def test_context_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="'us': there are eu"):
        access.of_kubeconfig(written(tmp_path), "us")


def test_file_that_is_no_kubeconfig_is_never_quoted(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("token: [secret-word")
    with pytest.raises(BackendError) as told:
        access.of_kubeconfig(path, "eu")
    assert "secret-word" not in str(told.value)


def test_pod_is_known_by_its_service_account(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of the pod")
    (tmp_path / "ca.crt").write_bytes(Authority(tmp_path).certificate)
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    found = access.in_cluster(tmp_path, environ)
    assert (found.server, found.token) == ("https://[fd00::1]:6443", "of the pod")


def test_host_that_is_no_pod_says_so(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="this is no pod"):
        access.in_cluster(tmp_path, {})


@pytest.mark.parametrize(
    "server", ["http://127.0.0.1.example.org", "http://127.example.org:80", "http://localhost:1@example.org"]
)
def test_a_token_goes_without_encryption_to_this_host_only(tmp_path: Path, server: str) -> None:
    with pytest.raises(BackendError, match="only https is safe"):
        access.of_kubeconfig(written(tmp_path, server=server), "eu")


@pytest.mark.parametrize("server", ["http://127.0.0.1:8001", "http://localhost:8001", "http://[::1]:8001"])
def test_this_host_may_be_asked_without_encryption(tmp_path: Path, server: str) -> None:
    assert access.of_kubeconfig(written(tmp_path, server=server), "eu").server == server
