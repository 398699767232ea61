"""Two real Slurm clusters, `eu` and `us`, on loopback and below one folder, with accounting and known energy.

Also by hand: `python -m tests.slurm.cluster up FOLDER`, then `down FOLDER`.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NAMES = ("eu", "us")
NEEDED = ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd", "sbatch", "sshd")
PATIENCE_S = 60.0
NODE_W = 150  # what each fake node draws
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_MSR = Path("/dev/cpu/0/msr")
_nodes = threading.Lock()  # held by whoever stops or starts a node's daemon


def installed() -> bool:
    """True where everything is there, and this process may start it."""
    return os.geteuid() == 0 and all(shutil.which(name, path=_PATH) for name in NEEDED)


@dataclass(frozen=True)
class Clusters:
    """Running daemons below `root`; `conf` is what clients need, which reach both clusters by `-M`."""

    root: Path

    @property
    def conf(self) -> Path:
        return self.root / "eu" / "slurm.conf"

    @property
    def key(self) -> Path:
        return self.root / "ssh" / "key"

    @property
    def ssh_options(self) -> list[str]:
        """Options of ssh that leave the user's own files alone."""
        known = self.root / "ssh" / "known_hosts"
        return ["-F", "none", "-i", str(self.key), "-p", str(self.ssh_port), "-o", "BatchMode=yes",
                "-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=accept-new"]  # fmt: skip

    @property
    def ssh_port(self) -> int:
        return int((self.root / "ssh" / "port").read_text())

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PATH": _PATH, "SLURM_CONF": str(self.conf), "TZ": "UTC"}

    def run(self, *argv: str, timeout: float = 20) -> str:
        """The output of a client; raises where it fails."""
        ran = subprocess.run(
            argv, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        assert ran.returncode == 0, f"{argv}: {ran.stderr}"
        return ran.stdout

    def kill_controller(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends a cluster's slurmctld. By SIGKILL it may forget what it took in its last five seconds."""
        _stop(self.root / name / "ctld.pid", number)
        # Accounting forgets a cluster when its line breaks; it must not do so after the next one has come.
        _until(lambda: not self._answers(name), f"the end of {name}")

    def await_save(self, name: str) -> None:
        """Returns when the controller has just written its state down, as it does every five seconds or so.

        What it took since would be lost with it, and its numbers used again, which its nodes refuse.
        """
        state = self.root / name / "state" / "job_state"
        before = state.stat().st_mtime_ns if state.exists() else 0
        ends = time.monotonic() + 6
        while time.monotonic() < ends and (not state.exists() or state.stat().st_mtime_ns == before):
            time.sleep(0.01)

    def start_controller(self, name: str) -> None:
        """Starts it again from its saved state, and waits until it answers."""
        (self.root / name / "ctld.pid").unlink(missing_ok=True)
        _daemon(["slurmctld"], self.root / name / "slurm.conf")
        _until(lambda: self._answers(name), f"slurmctld of {name}")

    def forget(self, name: str) -> None:
        """A controller that has lost its state: it knows no jobs, and numbers them from one.

        Its node, too, forgets which numbers it has seen, else it would refuse them.
        """
        folder = self.root / name
        self.kill_controller(name)
        with _nodes:
            _stop(folder / "d.pid", signal.SIGKILL)
            for state in (folder / "spool").glob("cred_state*"):
                state.unlink()
            _daemon(["slurmctld", "-c"], folder / "slurm.conf")
            _daemon(["slurmd", "-N", f"{name}1"], folder / "slurm.conf")
        _until(lambda: self._answers(name), f"slurmctld of {name}")

    def tend(self) -> None:
        """What an administrator does now and then: drained nodes are resumed, jobs that Slurm held let go.

        A controller that was killed gives numbers twice; a node drains itself over the second one, and the
        job is held with the words `launch failed requeued held`.
        """
        for name in NAMES:
            state = self.run("sinfo", "-h", "-M", name, "-o", "%T")
            if "drain" in state or "down" in state:
                self.run("scontrol", "-M", name, "update", f"nodename={name}1", "state=resume")
            for line in self.run("squeue", "-h", "-M", name, "-o", "%A|%r").splitlines():
                number, _, reason = line.partition("|")
                if "requeued held" in reason:
                    self.run("scontrol", "-M", name, "release", number)

    def cancel_all(self) -> None:
        """Ends whatever a test left, and waits until nothing is there."""
        for name in NAMES:
            self.run("scancel", "-M", name, "--user=root", "--full", "--signal=KILL")
            self.run("scancel", "-M", name, "--user=root")
        _until(lambda: not any(self._jobs(name) for name in NAMES), "an empty queue")

    def _jobs(self, name: str) -> str:
        return "".join(
            line for line in self.run("squeue", "-h", "-M", name, "-o", "%A").splitlines()
            if not line.startswith("CLUSTER")
        )  # fmt: skip

    def _answers(self, name: str) -> bool:
        try:
            return bool(self._idle(name))
        except (AssertionError, subprocess.TimeoutExpired):
            return False

    def _idle(self, name: str) -> bool:
        said = self.run("sinfo", "-h", "-M", name, "-o", "%T", timeout=5)
        return any(state in said for state in ("idle", "mixed", "allocated"))


@contextmanager
def running(root: Path) -> Iterator[Clusters]:
    """Both clusters for a while, in the environment of this process."""
    before = dict(os.environ)
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(root, over), daemon=True)
    try:
        clusters = up(root)
        os.environ |= {"SLURM_CONF": str(clusters.conf), "PATH": _PATH}
        keeper.start()
        yield clusters
    finally:
        over.set()
        if keeper.ident is not None:
            keeper.join()
        os.environ.clear()
        os.environ |= before
        down(root)


def up(root: Path, cpus: int = 16, gpus: int = 4) -> Clusters:
    """Starts everything; takes some ten seconds."""
    clusters = Clusters(root)
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o755)
    database = _database(root)
    _munge(root)
    ports = {name: (_port(), _port()) for name in NAMES}
    accounting = _port()
    _dbd(root, accounting, database)
    _msr(root)
    for name in NAMES:
        _configure(root, name, ports[name], accounting, cpus, gpus)
    for name in NAMES:  # the first start of a cluster registers it
        _until(lambda name=name: _registered(clusters, name), f"accounting of {name}")  # type: ignore[misc]
        conf = root / name / "slurm.conf"
        _daemon(["slurmctld"], conf)
        _daemon(["slurmd", "-N", f"{name}1"], conf)
    _sshd(root, clusters.conf)
    for name in NAMES:
        _until(lambda name=name: clusters._answers(name), f"the node of {name}")  # type: ignore[misc]
    return clusters


def down(root: Path) -> None:
    """Stops everything by pid; slurmd first, which does not end without its controller.

    What a controller would still save, for some four seconds, goes with its folder: it is killed.
    """
    for name in NAMES:
        _stop(root / name / "d.pid")
    for name in NAMES:
        _stop(root / name / "ctld.pid", signal.SIGKILL)
    for part in ("dbd/dbd.pid", "sql/pid", "munge/pid", "ssh/pid", "msr/pid"):
        _stop(root / part)
    if (root / "msr" / "pid").exists() and not _counted():
        _MSR.unlink(missing_ok=True)


def _keep(root: Path, over: threading.Event) -> None:
    """Starts a node's daemon again that crashed, as systemd would: 22.05's does so now and then."""
    while not over.wait(1.0):
        for name in NAMES:
            with _nodes:
                if _crashed(root / name / "d.pid"):
                    _daemon(["slurmd", "-N", f"{name}1"], root / name / "slurm.conf")


def _crashed(path: Path) -> bool:
    """True where a daemon left its pid behind: one that ends in order removes it."""
    try:
        return not _alive(int(path.read_text()))
    except (FileNotFoundError, ValueError):
        return False


def _registered(clusters: Clusters, name: str) -> bool:
    try:
        clusters.run("sacctmgr", "-i", "add", "cluster", name)
    except AssertionError as error:
        return "already exists" in str(error)
    return True


def _munge(root: Path) -> None:
    folder = root / "munge"
    folder.mkdir(mode=0o755)
    key = folder / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    for path in (folder, key):
        shutil.chown(path, "munge", "munge")
    _call(
        "runuser", "-u", "munge", "--", "munged", f"--key-file={key}", f"--socket={folder / 's'}",
        f"--pid-file={folder / 'pid'}", f"--log-file={folder / 'log'}", f"--seed-file={folder / 'seed'}",
    )  # fmt: skip


def _database(root: Path) -> int:
    folder, port = root / "sql", _port()
    folder.mkdir(mode=0o755)
    shutil.chown(folder, "mysql", "mysql")
    data, sock, scratch = folder / "data", folder / "s", folder / "tmp"
    scratch.mkdir()
    shutil.chown(scratch, "mysql", "mysql")
    own = ("--no-defaults", "--user=mysql", f"--datadir={data}", f"--tmpdir={scratch}")
    _call("mariadb-install-db", *own, "--skip-test-db")
    _spawn(
        folder / "log",
        *("mariadbd", *own, f"--socket={sock}"),
        *(f"--port={port}", "--bind-address=127.0.0.1", f"--pid-file={folder / 'pid'}"),
        *("--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0"),
    )
    user = "s@'127.0.0.1'"
    sql = f"CREATE DATABASE slurm; CREATE USER {user} IDENTIFIED BY 's'; GRANT ALL ON slurm.* TO {user}"
    _until(lambda: _succeeds("mariadb", "--no-defaults", f"--socket={sock}", "-e", "SELECT 1"), "mariadbd")
    _call("mariadb", "--no-defaults", f"--socket={sock}", "-e", sql)
    return port


def _dbd(root: Path, port: int, database: int) -> None:
    folder = root / "dbd"
    folder.mkdir()
    conf = folder / "slurmdbd.conf"
    conf.touch(mode=0o600)
    conf.write_text(
        f"AuthType=auth/munge\nAuthInfo=socket={root}/munge/s\nDbdHost={_host()}\nDbdAddr=127.0.0.1\n"
        f"DbdPort={port}\nSlurmUser=root\nPidFile={folder}/dbd.pid\nLogFile={folder}/log\n"
        "StorageType=accounting_storage/mysql\nStorageHost=127.0.0.1\n"
        f"StoragePort={database}\nStorageUser=s\nStoragePass=s\nStorageLoc=slurm\n"
    )
    _daemon(["slurmdbd"], folder / "slurm.conf")
    _until(lambda: _listening(port), "slurmdbd")


def _configure(root: Path, name: str, ports: tuple[int, int], accounting: int, cpus: int, gpus: int) -> None:
    folder = root / name
    for part in ("spool", "state"):
        (folder / part).mkdir(parents=True)
    for number in range(gpus):
        os.mknod(folder / f"gpu{number}", 0o20666, os.makedev(1, 3))
    (folder / "gres.conf").write_text(f"Name=gpu Type=h200 File={folder}/gpu[0-{gpus - 1}]\n")
    (folder / "acct_gather.conf").write_text("")
    (folder / "slurm.conf").write_text(
        f"ClusterName={name}\nSlurmctldHost={_host()}(127.0.0.1)\n"
        f"SlurmctldPort={ports[0]}\nSlurmdPort={ports[1]}\nSlurmUser=root\nAuthType=auth/munge\n"
        f"AuthInfo=socket={root}/munge/s,cred_expire=5\nProctrackType=proctrack/linuxproc\n"
        "TaskPlugin=task/none\nReturnToService=2\nSlurmdParameters=config_overrides\n"
        f"SlurmctldPidFile={folder}/ctld.pid\nSlurmdPidFile={folder}/d.pid\nSlurmdSpoolDir={folder}/spool\n"
        f"StateSaveLocation={folder}/state\nSlurmctldLogFile={folder}/ctld.log\nSlurmdLogFile={folder}/d.log\n"
        "SelectType=select/cons_tres\nSelectTypeParameters=CR_Core_Memory\n"
        "SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=100000\n"
        "JobAcctGatherType=jobacct_gather/linux\nJobAcctGatherFrequency=task=1,energy=1\n"
        "AcctGatherEnergyType=acct_gather_energy/rapl\nAcctGatherNodeFreq=1\n"
        "AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost=127.0.0.1\n"
        f"AccountingStoragePort={accounting}\nAccountingStoragePass={root}/munge/s\n"
        "AccountingStoreFlags=job_comment\nAccountingStorageTRES=gres/gpu,gres/gpu:h200\n"
        "GresTypes=gpu\nKillWait=5\nMinJobAge=300\nMailProg=/bin/true\n"
        f"NodeName={name}1 NodeHostname={_host()} NodeAddr=127.0.0.1 Port={ports[1]} CPUs={cpus}"
        f" RealMemory=64000 Gres=gpu:h200:{gpus} State=UNKNOWN\n"
        "PartitionName=train Nodes=ALL Default=YES MaxTime=INFINITE DefMemPerCPU=10 State=UP\n"
    )  # fmt: skip


def _msr(root: Path) -> None:
    """A process that counts up the registers of a processor that draws NODE_W."""
    folder = root / "msr"
    folder.mkdir()
    program = str(Path(__file__).with_name("msr.py"))
    pid = _spawn(folder / "log", sys.executable, "-S", program, str(_MSR), str(NODE_W))
    (folder / "pid").write_text(pid)
    _until(_MSR.exists, "the energy counter")


def _counted() -> bool:
    """Whether another pair of clusters still needs the counter: daemons keep the file open."""
    lines = (path / "cmdline" for path in Path("/proc").iterdir() if path.name.isdecimal())
    return any(b"slurm/msr.py" in _text(line) for line in lines)


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _sshd(root: Path, conf: Path) -> None:
    folder, port = root / "ssh", _port()
    folder.mkdir(mode=0o700)
    for name in ("host", "key"):
        _call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
    (folder / "port").write_text(str(port))
    (folder / "authorized").write_bytes((folder / "key.pub").read_bytes())
    (folder / "conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile {folder}/pid\n"
        f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        f"PermitRootLogin prohibit-password\nSetEnv SLURM_CONF={conf}\nMaxStartups 100\nMaxSessions 100\n"
    )
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    sshd = shutil.which("sshd", path=_PATH) or "sshd"
    _call(sshd, "-f", str(folder / "conf"), "-E", str(folder / "log"))
    _until(lambda: _listening(port), "sshd")


def _daemon(argv: Sequence[str], conf: Path) -> None:
    # A test ends by its state folder's name what it started: this is not of the test alone.
    others = {name: value for name, value in os.environ.items() if not name.startswith("TIDEWATT_")}
    subprocess.run(
        argv, env={**others, "PATH": _PATH, "SLURM_CONF": str(conf)}, check=True, timeout=30,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _spawn(log: Path, *argv: str) -> str:
    """Starts what stays; it is nobody's child, and its pid is returned."""
    with open(log, "ab") as file:
        return subprocess.run(
            ["setsid", "/bin/sh", "-c", '"$@" </dev/null >&2 & echo $!', "sh", *argv],
            env={**os.environ, "PATH": _PATH}, stdout=subprocess.PIPE, stderr=file, text=True, check=True,
        ).stdout.strip()  # fmt: skip


def _call(*argv: str) -> None:
    ran = subprocess.run(
        argv, env={**os.environ, "PATH": _PATH}, capture_output=True, text=True, timeout=200, check=False
    )
    assert ran.returncode == 0, f"{argv}: {ran.stdout}{ran.stderr}"


def _succeeds(*argv: str) -> bool:
    return subprocess.run(argv, capture_output=True, timeout=10, check=False).returncode == 0


def _host() -> str:
    return socket.gethostname().partition(".")[0]


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until(look: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.1)


def _stop(path: Path, number: signal.Signals = signal.SIGTERM) -> None:
    """Ends the daemon that this file names; SIGKILL after a few seconds. A zombie has ended."""
    try:
        pid = int(path.read_text())
    except (FileNotFoundError, ValueError):
        return
    deadline = time.monotonic() + 4
    while _alive(pid):
        try:
            os.kill(pid, number if time.monotonic() < deadline else signal.SIGKILL)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    path.unlink(missing_ok=True) if number is signal.SIGKILL else None


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


if __name__ == "__main__":
    verb, where = sys.argv[1], Path(sys.argv[2])
    if verb == "up":
        started = time.monotonic()
        made = up(where)
        print(f"export SLURM_CONF={made.conf}  # up in {time.monotonic() - started:.1f} s")
    else:
        down(where)
