"""Files between this host and a cluster's folder, where the two do not see the same."""

import io
import subprocess
import tarfile
from pathlib import Path

from tidewatt.backends.backend import BackendError, Launch
from tidewatt.backends.slurm.reference import Reference

_PATIENCE_S = 600.0
_MOST = 512 << 20  # bytes of readings and marks
_PACK = """
cd "$1" || exit
for each in readings marks; do [ -e "$each" ] && set -- "$@" "$each"; done
shift
exec tar -cf - -T /dev/null "$@"
"""


def fetch(reference: Reference, folder: Path) -> None:
    """Brings readings and marks of an attempt into its folder here; safe to repeat.

    Raises:
        BackendError: They could not be brought.
    """
    argv = reference.reach.command(["/bin/bash", "-c", _PACK, "bash", str(reference.there)])
    what = f"the readings in {reference.there} cannot be brought"
    try:
        done = subprocess.run(argv, capture_output=True, timeout=_PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackendError(f"{what}: {error}", transient=True) from error
    if done.returncode or len(done.stdout) > _MOST:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise BackendError(f"{what}: {said}", transient=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter=_ours)  # noqa: S202 - of these members, within this folder


def _ours(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    """Only files and folders that were asked for: another host's word replaces nothing else here."""
    parts = member.name.split("/")
    known = parts[0] in ("readings", "marks") and ".." not in parts and (member.isfile() or member.isdir())
    return tarfile.data_filter(member, folder) if known else None


def send(reference: Reference, launch: Launch) -> None:
    """Brings a copied working tree to where the nodes see it; nothing where they see ours.

    Raises:
        BackendError: It could not be sent.
    """
    if launch.snapshot is None or reference.there == launch.folder:
        return
    text = 'umask 077; mkdir -p "$1/code" && tar -C "$1/code" -xf -'
    argv = reference.reach.command(["/bin/bash", "-c", text, "bash", str(reference.there)])
    what = f"the code cannot be sent to {reference.reach.place}"
    pack = ["tar", "-C", str(launch.snapshot), "-cf", "-", "."]
    try:
        with subprocess.Popen(pack, stdout=subprocess.PIPE) as packed:
            done = subprocess.run(
                argv, stdin=packed.stdout, capture_output=True, timeout=_PATIENCE_S, check=False
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackendError(f"{what}: {error}", transient=True) from error
    if done.returncode or packed.returncode:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise BackendError(f"{what}: {said}", transient=True)
