"""What the attempts of a job keep in object storage: claim, request to pause, checkpoint and its manifest."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidewatt.backends import durable, reference
from tidewatt.backends.aws_batch.clients import asked, client
from tidewatt.backends.aws_batch.options import AwsBatchOptions
from tidewatt.backends.backend import BackendError, Launch
from tidewatt.backends.desk import Fate, NotTakenError
from tidewatt.backends.escort import MANIFEST
from tidewatt.backends.reference import Reference

_SENDING_S = 120.0  # for a checkpoint to be sent
_WITHDRAWN = b"withdrawn"


def of(launch: Launch, options: AwsBatchOptions) -> str:
    """Where claim and checkpoint of an attempt lie, "" for what was sent before one was needed."""
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


def check(uri: str, place: Mapping[str, Any]) -> None:
    """Makes sure that the storage there does not write over what is there when it is asked not to.

    Raises:
        BackendError: It does, so that two could have the same claim; or it cannot be asked.
    """
    where = key_of(uri.rstrip("/") + "/", "conditions")
    if _put(place, where, b"kept") and _put(place, where, b"written over"):
        raise BackendError(
            f"the object storage at {uri} writes over what is there (it does not know If-None-Match), so two"
            " copies of a job could both claim it: give a checkpoint_uri in S3, or in a storage that knows it"
        )


def withdraw(found: Reference) -> Fate:
    """Claims it in its storage, so that its escort cannot any more.

    Open without a storage, and in one that writes over what is there: the claim there says nothing.
    """
    if not found.storage:
        return Fate.OPEN
    where = key_of(found.storage, "claim")
    if _put(found.place, where, _WITHDRAWN) and _put(found.place, where, _WITHDRAWN):
        return Fate.OPEN
    s3 = client("s3", found.place)
    held: bytes = asked("read its claim", lambda: s3.get_object(**where))["Body"].read()
    return Fate.NEVER if held == _WITHDRAWN else Fate.STARTED


def _put(place: Mapping[str, Any], where: Mapping[str, str], content: bytes) -> bool:
    """Writes it unless something is there; False where something was."""
    s3 = client("s3", place)
    try:
        asked("write a claim", lambda: s3.put_object(**where, Body=content, IfNoneMatch="*"))
    except NotTakenError as error:
        if "PreconditionFailed" not in str(error):
            raise
        return False
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
