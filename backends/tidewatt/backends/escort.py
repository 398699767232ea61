"""Goes with a job to a machine where there is none of us: claims it, starts it, stops it, says how it ended.

`python3 escort.py ORDER.json`, or the source itself after `-c` and the order as text. It needs nothing but
Python 3.8; boto3 only where the checkpoint lies in object storage. An order has a `folder` where the
attempt's own folder is reached from there: then claim, requests and outcome are files in it, as for jobs on
the daemon's host. The job stays in this process's group, so that an engine which ends the one ends the other.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Content = dict[str, Any]

POLL_S = 0.1
BEAT_S = 2.0  # between two signs of life
REFUSED = 75  # sysexits.h: somebody else has the claim, or it was stopped before it began
MANIFEST = "tidewatt-checkpoint.json"
OURS = ("CUDA_VISIBLE_DEVICES", "RAY_", "AWS_BATCH_", "SKYPILOT_")  # the engine sets these


class Escort:
    """One attempt's way."""

    def __init__(self, order: Content) -> None:
        self.order = order
        self.folder = Path(order["folder"]) if order.get("folder") else None
        self.pause: Content = order.get("pause") or {}
        self.asked_at = 0.0  # wall clock of the request to end, 0 before it
        self.kill_at = float("inf")
        self.reason = ""
        self.told = False  # the engine has sent SIGTERM
        self.looked_at = 0.0  # when its storage was last asked for a request to pause
        self.resumed = False
        self.found = ""  # the checkpoint that it goes on from
        self.written = 0  # how much output there was when it was asked

    def run(self) -> int:
        """Sees the job to its end; the wait status that it ended with, as `subprocess` counts it."""
        signal.signal(signal.SIGTERM, self._hear)
        self._meter("start")
        if not self._claimed():
            _say("the attempt was withdrawn before it started")
            return REFUSED
        self._restore()
        started = time.monotonic()
        job, refusal = self._start()
        code = _code(refusal) if job is None else self._watch(job, started)
        self._keep(code, refusal)
        if self.order.get("tells"):
            _say(f"exit {code}")
        self._meter("end")
        return code

    def _hear(self, *_: Any) -> None:
        self.told = True

    def _claimed(self) -> bool:
        if self.order.get("storage"):
            return _claim(self.order["storage"])
        return self.folder is None or self._claim(self.folder)

    def _claim(self, folder: Path) -> bool:
        if (folder / "stop.json").exists():
            return False
        process = {"boot_id": _boot(), "pid": os.getpid(), "start_ticks": _ticks(os.getpid())}
        claim = {"process": process, "started_ms": self._now_ms(), "mono_s": time.monotonic()}
        return _create(folder / "claim", claim)

    def _start(self) -> tuple[subprocess.Popen[bytes] | None, OSError | None]:
        order, values = self.order, self._environment()
        try:
            if order.get("cwd"):
                os.chdir(order["cwd"])
            if order.get("umask") is not None:
                os.umask(order["umask"])
            out = open(order["stdout"], "ab") if order.get("stdout") else None  # noqa: SIM115
            same = order.get("stderr") == order.get("stdout")
            err = out if same or not order.get("stderr") else open(order["stderr"], "ab")  # noqa: SIM115
            more = [each.replace("{checkpoint}", self.found) for each in order["resume_args"]]
            argv = order["argv"] + (more if self.resumed else [])
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=values), None
        except OSError as error:
            _say(f"the job could not be started: {error}")
            return None, error

    def _environment(self) -> dict[str, str]:
        values = dict(os.environ)
        if self.order.get("environment_file"):
            kept = json.loads(Path(self.order["environment_file"]).read_text())
            values.update({name: value for name, value in kept.items() if not name.startswith(OURS)})
        values.update(self.order["variables"])
        if self.resumed:
            given = self.order["resume_env"]
            values["TIDEWATT_CHECKPOINT"] = self.found
            values.update({name: value.replace("{checkpoint}", self.found) for name, value in given.items()})
        values.pop("TIDEWATT_ORDER", None)
        return values

    def _watch(self, job: subprocess.Popen[bytes], started: float) -> int:
        limit_at = started + self.order["limit_s"] if self.order.get("limit_s") else float("inf")
        alive_at = 0.0
        while job.poll() is None:
            now = time.monotonic()
            if self.folder is not None:
                self._pass_on(job)
                if now > alive_at + BEAT_S:
                    alive_at = now
                    (self.folder / "alive").touch()
            asked = self._asked(now >= limit_at)
            if asked and not self.asked_at:
                self._ask(job, asked, now)
            elif now >= self.kill_at:
                job.kill()
            time.sleep(POLL_S)
        return job.returncode

    def _asked(self, overrun: bool) -> str:
        if self.folder is not None and (self.folder / "stop.json").exists():
            try:
                return str(json.loads((self.folder / "stop.json").read_text())["reason"])
            except (OSError, ValueError, KeyError):
                return "cancelled"
        if (
            self.order.get("storage")
            and self.pause
            and time.monotonic() > self.looked_at + self.order["look_s"]
        ):
            self.looked_at = time.monotonic()
            if _content(self.order["storage"], "pause") is not None:
                return "paused"
        return "time limit" if overrun else "signalled" if self.told else ""

    def _ask(self, job: subprocess.Popen[bytes], reason: str, now: float) -> None:
        """Asks the job to end; by the engine's own signal the job was told already where `told_all`."""
        self.reason, self.asked_at = reason, time.time()
        if self.order.get("stdout"):
            self.written = Path(self.order["stdout"]).stat().st_size
        pausing = bool(self.pause) and reason in ("paused", "signalled")
        grace_s = self.pause["grace_s"] if pausing else self.order["grace_s"]
        self.kill_at = now + (min(grace_s, self.order.get("stop_s") or grace_s) if self.told else grace_s)
        name = self.pause["signal"] if pausing else "TERM"
        if not (reason == "signalled" and self.order.get("told_all") and name == "TERM"):
            job.send_signal(getattr(signal, "SIG" + name))

    def _pass_on(self, job: subprocess.Popen[bytes]) -> None:
        """Signals that were asked for, in their order."""
        for path in sorted((self.folder or Path()).glob("signals/*-*")):
            path.unlink()
            job.send_signal(getattr(signal, "SIG" + path.name.partition("-")[2]))

    def _keep(self, code: int, refusal: OSError | None) -> None:
        saved = self._save(code)
        if self.folder is None:
            return
        reason = f"the job could not be started: {refusal}" if refusal else ""
        outcome = {
            "ended_ms": self._now_ms(),
            "exit_code": code if code >= 0 else None,
            "signal": -code if code < 0 else None,
            "reason": reason,
            "stopped": self.reason or None,
            "cpu_ms": None,
        }
        if saved is not None:
            _create(self.folder / "checkpoint.json", saved)
        _create(self.folder / "outcome.json", outcome)

    def _save(self, code: int) -> Content | None:
        """What is known of the checkpoint of a job that was asked for one; sent to where it is kept."""
        if not self.pause or not self.asked_at or self.reason not in ("paused", "signalled"):
            return None
        place = Path(self.order.get("cwd") or ".") / self.pause["folder"]
        found = _newest(place, self.pause["file"])
        reason = self._fault(place, found, code)
        real_ms = self.asked_at * 1000 if found is None else found.stat().st_mtime_ns // 1_000_000
        base = found if found is not None else place if self.pause["folder"] else None
        files = _files(base) if base is not None and base.exists() else []
        saved = {
            "whole": not reason,
            "path": "" if found is None else str(found.absolute()),
            "digest": "" if found is None else _sum(found),
            "size": sum(path.stat().st_size for path in files),
            "at_ms": self._clock_ms(real_ms),
            "reason": reason,
            "previous": self.order.get("previous"),
        }
        if self.order.get("storage"):
            parts = {str(path.relative_to(place)): _digest(path) for path in files}
            name = "" if found is None else str(found.relative_to(place))
            self._upload(place, dict(saved, files=parts, name=name))
        return saved

    def _fault(self, place: Path, found: Path | None, code: int) -> str:
        """Why the checkpoint is not whole by the job's own terms; "" where it is."""
        terms = self.pause
        ended = f"it ended with {code}" if code >= 0 else f"it was ended by signal {-code}"
        if terms["exit_codes"] and code not in terms["exit_codes"]:
            return f"{ended}, not with {' or '.join(map(str, terms['exit_codes']))}"
        if terms["log_line"] and not self._said(terms["log_line"]):
            return f"its output never said {terms['log_line']!r}, or cannot be read there"
        beside = place if found is None else found if found.is_dir() else found.parent
        if terms["unfinished"] and list(beside.glob(terms["unfinished"])):
            return f"{terms['unfinished']} says that it is unfinished"
        if terms["file"] and (found is None or found.stat().st_mtime < self.asked_at - 0.01):
            return f"nothing new matches {terms['file']}"  # files have the time of the last tick
        number = getattr(signal, "SIG" + terms["signal"])
        sure = terms["exit_codes"] or terms["log_line"] or code in (0, 128 + number) or terms["unfinished"]
        return "" if sure and time.monotonic() < self.kill_at else ended

    def _said(self, line: str) -> bool:
        if not self.order.get("stdout"):
            return False
        with open(self.order["stdout"], "rb") as file:
            file.seek(self.written)
            return line.encode() in file.read()

    def _upload(self, place: Path, manifest: Content) -> None:
        bucket, prefix = _place(self.order["storage"])
        client = _storage()
        if manifest["whole"]:
            for name in manifest["files"]:
                client.upload_file(str(place / name), bucket, prefix + name)
        client.put_object(Bucket=bucket, Key=prefix + MANIFEST, Body=json.dumps(manifest).encode())

    def _restore(self) -> None:
        """Brings the newest whole checkpoint; where there is none the job begins anew, and that is said."""
        folder = Path(self.order.get("cwd") or ".") / (self.pause.get("folder") or ".")
        for uri in self.order.get("restore") or []:
            problem, name = _download(uri, folder)
            if not problem:
                _say(f"goes on from {uri}")
                self.resumed, self.found = True, str(folder / name)
                return
            _say(f"not from {uri}: {problem}")
        if self.order.get("restore"):
            _say("no checkpoint is whole: the job begins anew")

    def _meter(self, when: str) -> None:
        """Our own meter beside the job; whatever it does, the job goes on."""
        if self.order.get("meter"):
            try:
                command = [*self.order["meter"], when, str(self.folder), str(os.getpid())]
                subprocess.run(command, stdin=subprocess.DEVNULL, timeout=15, check=False)
            except (OSError, subprocess.SubprocessError) as error:
                _say(f"not metered: {error}")

    def _now_ms(self) -> int:
        return self._clock_ms(time.time_ns() // 1_000_000)

    def _clock_ms(self, real_ms: float) -> int:
        clock = self.order["clock"]
        return int(clock["replay_ms"] + round((real_ms - clock["real_ms"]) * clock["factor"]))


def _create(path: Path, content: Content) -> bool:
    """Writes the file unless it is there: link(2), so that of all who try one gets True."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _newest(place: Path, file: str) -> Path | None:
    found = list(place.glob(file)) if file else []
    return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)


def _files(path: Path) -> list[Path]:
    return sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]


def _sum(path: Path) -> str:
    """Of a file its SHA-256, of a folder that of a list with a line for each file."""
    if not path.is_dir():
        return _digest(path)
    lines = [f"{_digest(each)}  {each.relative_to(path)}\n" for each in _files(path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _download(uri: str, folder: Path) -> tuple[str, str]:
    """Why the checkpoint there cannot be taken, "" once it lies in the folder and is as saved; its name."""
    bucket, prefix = _place(uri)
    client = _storage()
    text = _content(uri, MANIFEST)
    if text is None:
        return "there is none", ""
    manifest = json.loads(text)
    if not manifest["whole"]:
        return f"it is not whole: {manifest['reason']}", ""
    for name, digest in manifest["files"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, prefix + name, str(path))
        if _digest(path) != digest:
            return f"{name} is not what was saved", ""
    return "", manifest["name"]


def _content(uri: str, name: str) -> bytes | None:
    bucket, prefix = _place(uri)
    client = _storage()
    try:
        found: bytes = client.get_object(Bucket=bucket, Key=prefix + name)["Body"].read()
    except client.exceptions.NoSuchKey:
        return None
    return found


def _claim(uri: str) -> bool:
    """Claims in object storage: of all who write the key on condition that it is not there, one may.

    It is written twice: a storage that takes the second as well knows no conditions, and nothing is claimed.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, prefix = _place(uri)
    mine = os.urandom(16).hex().encode()
    try:
        for _ in range(2):
            try:
                _storage().put_object(Bucket=bucket, Key=prefix + "claim", Body=mine, IfNoneMatch="*")
            except ClientError as error:
                if error.response["Error"]["Code"] != "PreconditionFailed":
                    raise
                return _content(uri, "claim") == mine
        _say("nothing can be claimed: the storage writes over what is there")
    except (BotoCoreError, ClientError) as error:
        _say(f"nothing can be claimed: {error}")
    return False


def _place(uri: str) -> tuple[str, str]:
    bucket, _, prefix = uri[len("s3://") :].partition("/")
    return bucket, prefix


def _storage() -> Any:
    import boto3

    return boto3.client("s3")


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            found.update(piece)
    return found.hexdigest()


def _code(error: OSError | None) -> int:
    return 127 if isinstance(error, FileNotFoundError) else 126


def _say(sentence: str) -> None:
    os.write(1, f"tidewatt: {sentence}\n".encode())


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def _end(code: int) -> None:
    """Ends as the job did."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    sys.exit(code if code >= 0 else 128 - code)  # the first process of a container outlives its own signals


def main() -> None:
    """Reads the order, sees the job to its end, ends as it did."""
    text = sys.argv[1] if len(sys.argv) > 1 else os.environ["TIDEWATT_ORDER"]
    _end(Escort(json.loads(text if text.startswith("{") else Path(text).read_text())).run())


if __name__ == "__main__":
    main()
