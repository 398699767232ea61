"""A real sshd on loopback, with keys and known hosts of its own: nothing of the user's is touched."""

import os
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SERVERS = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
PATIENCE_S = 10.0


WRAPPER = """#!/bin/sh
# ssh, but that its next answer, or its next question, is lost where a test asked for that
folder=$(dirname "$0")
if [ -e "$folder/lose" ]; then rm "$folder/lose"; echo "lost on the way" >&2; exit 255; fi
if [ -e "$folder/mute" ]; then
    rm "$folder/mute"
    PATH=$REAL_PATH ssh "$@" >/dev/null
    echo "connection lost" >&2
    exit 255
fi
PATH=$REAL_PATH exec ssh "$@"
"""


@dataclass
class SshHost:
    """This machine as another host. `arguments` are what `ssh` needs to reach it as `name`."""

    folder: Path
    name: str = "elsewhere"
    port: int = 0
    environ: str = ""  # more lines of sshd_config, such as `SetEnv SLURM_CONF=/...`
    process: subprocess.Popen[bytes] | None = None

    @property
    def arguments(self) -> tuple[str, ...]:
        """The configuration that `ssh` is to read instead of the user's."""
        return ("-F", str(self.folder / "ssh_config"))

    def up(self) -> "SshHost":
        """Starts the server and waits until it answers."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.folder / "key").exists():
            for name in ("key", "host_key"):
                keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
                subprocess.run(keygen, check=True)
            shutil.copy(self.folder / "key.pub", self.folder / "authorized_keys")
        self.port = self.port or _free_port()
        (self.folder / "sshd_config").write_text(self._server())
        (self.folder / "ssh_config").write_text(self._client())
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # it insists on this one
        sshd = shutil.which("sshd", path=SERVERS)
        assert sshd is not None
        command = [sshd, "-D", "-e", "-f", str(self.folder / "sshd_config")]
        with open(self.folder / "sshd.log", "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert time.monotonic() < deadline, (self.folder / "sshd.log").read_text()
            time.sleep(0.02)
        return self

    def down(self) -> None:
        """Ends the server and the connection that its clients share."""
        leave = ["ssh", *self.arguments, "-O", "exit", self.name]
        subprocess.run(leave, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)
        self.process = None

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            return connection.recv(3) == b"SSH"
        return False

    def _server(self) -> str:
        return f"""Port {self.port}
ListenAddress 127.0.0.1
HostKey {self.folder}/host_key
PidFile none
AuthorizedKeysFile {self.folder}/authorized_keys
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PermitRootLogin prohibit-password
MaxStartups 100
{self.environ}
"""

    def _client(self) -> str:
        return f"""Host {self.name}
HostName 127.0.0.1
Port {self.port}
IdentityFile {self.folder}/key
IdentitiesOnly yes
UserKnownHostsFile {self.folder}/known_hosts
StrictHostKeyChecking accept-new
LogLevel ERROR
ControlMaster auto
ControlPath {self.folder}/%C
ControlPersist 20
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
