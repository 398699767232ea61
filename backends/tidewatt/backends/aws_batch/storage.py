"""What the attempts of a job keep in object storage: claim, request to pause, checkpoint and its manifest."""

import json
import time
from pathlib import Path

from tidewatt.backends import durable, reference
from tidewatt.backends.aws_batch.clients import asked, client
from tidewatt.backends.aws_batch.options import AwsBatchOptions
from tidewatt.backends.backend import Launch
from tidewatt.backends.desk import NotTakenError
from tidewatt.backends.escort import MANIFEST
from tidewatt.backends.reference import Reference

_SENDING_S = 120.0  # for a checkpoint to be sent


def of(launch: Launch, options: AwsBatchOptions) -> str:
    """Where claim and checkpoint of an attempt lie, "" without a checkpoint_uri."""
    return f"{options.checkpoint_uri.rstrip('/')}/{launch.token}/" if options.checkpoint_uri else ""


def key_of(uri: str, name: str) -> dict[str, str]:
    """Bucket and key of a name below `s3://bucket/prefix/`."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": prefix + name}


def earlier(launch: Launch) -> list[str]:
    """Where checkpoints of the job's earlier attempts may lie, newest first, whatever region they ran in."""
    if launch.resumes is None:
        return []
    places = []
    for folder in sorted(launch.resumes.parent.glob("[0-9]*"), key=lambda path: -int(path.name)):
        if int(folder.name) <= int(launch.resumes.name):
            found = reference.read(folder)
            if found is not None and found.storage:
                places.append(found.storage)
    return places


def withdraw(found: Reference) -> bool:
    """Claims it in its storage, so that its escort cannot any more."""
    if not found.storage:
        return True
    s3 = client("s3", found.place)
    where = key_of(found.storage, "claim")
    try:
        asked("withdraw the job", lambda: s3.put_object(**where, Body=b"withdrawn", IfNoneMatch="*"))
    except NotTakenError as error:
        if "PreconditionFailed" not in str(error):
            raise
        held: bytes = asked("read its claim", lambda: s3.get_object(**where))["Body"].read()
        return held == b"withdrawn"
    return True


def finish(folder: Path, found: Reference) -> None:
    """What the manifest of its checkpoint says, where it has sent one."""
    if not found.storage or (folder / "checkpoint.json").exists():
        return
    s3, where = client("s3", found.place), key_of(found.storage, MANIFEST)
    try:
        answer = asked("read the checkpoint", lambda: s3.get_object(**where))
    except NotTakenError as error:
        if "NoSuchKey" in str(error):  # nobody asked for one
            return
        raise
    manifest = json.loads(answer["Body"].read())
    manifest.pop("files", None)
    durable.create(folder / "checkpoint.json", manifest | {"path": found.storage})


def asks(found: Reference, launch: Launch) -> bool:
    """Asks its escort for a checkpoint, for which it has as long as the job says; False once that is over."""
    asked_at = (launch.folder / "stop.json").stat().st_mtime
    grace_s = launch.pausing.grace_s if launch.pausing else launch.grace_s
    if time.time() > asked_at + grace_s + _SENDING_S:
        return False
    s3 = client("s3", found.place)
    asked("pause the job", lambda: s3.put_object(**key_of(found.storage, "pause"), Body=b"please"))
    return True
