"""Cleans a state folder at start: what a crash left half made, and secrets that nobody needs any more."""

import re
import shutil
from pathlib import Path

import structlog

from tidewatt.backends import environment
from tidewatt.scheduler.daemon.environments import forget
from tidewatt.scheduler.daemon.faults import told
from tidewatt.scheduler.daemon.intake import STAGING
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.jobs import ENDED
from tidewatt.scheduler.store import Store

log = structlog.get_logger()


def sweep(site: Site, store: Store) -> None:
    """Removes what was never acknowledged, and environments of ended jobs; keeps what has run.

    Folders of attempts that the store does not know (it was lost, or an old copy was put back) stay where
    they are, since their jobs may still run; their numbers are not given again.
    """
    unknown, ended = 0, list[int]()
    for folder in site.paths.jobs.iterdir():
        with told("sweep", folder=folder.name):
            number = int(folder.name) if re.fullmatch(r"[1-9][0-9]*", folder.name) else None
            job = None if number is None else store.job(number)
            if folder.name.startswith(STAGING):
                shutil.rmtree(folder, ignore_errors=True)
            elif number is not None and job is None:
                unknown = max(unknown, number)
                _leave_or_remove(folder)
            elif number is not None and job is not None and job.state in ENDED:
                ended.append(number)
    with told("sweep"):
        forget(store, site.paths, ended)
    store.skip_numbers(unknown)


def _leave_or_remove(folder: Path) -> None:
    """Removes the folder of a job that was never acknowledged, which is one without any attempt."""
    if any(part.is_dir() and part.name.isdecimal() for part in folder.iterdir()):
        log.warning("sweep.unknown_job", folder=folder.name)
        environment.delete(folder / "env.json")
    else:
        log.info("sweep.removed", folder=folder.name)
        shutil.rmtree(folder, ignore_errors=True)
