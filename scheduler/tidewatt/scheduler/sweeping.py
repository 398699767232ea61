"""Cleans a state folder at start: what a crash left half made, and secrets that nobody needs any more."""

import shutil

import structlog

from tidewatt.backends import environment
from tidewatt.scheduler.intake import STAGING
from tidewatt.scheduler.jobs import ENDED
from tidewatt.scheduler.launching import environment_file
from tidewatt.scheduler.site import Site
from tidewatt.scheduler.store import Store

log = structlog.get_logger()


def sweep(site: Site, store: Store) -> None:
    """Removes staged folders, folders of jobs never acknowledged, and environments of ended jobs."""
    for folder in site.paths.jobs.iterdir():
        number = int(folder.name) if folder.name.isdigit() else None
        if folder.name.startswith(STAGING) or (number is not None and store.job(number) is None):
            log.info("sweep.removed", folder=folder.name)
            shutil.rmtree(folder, ignore_errors=True)
        elif number is not None and environment_file(site.paths, number).exists():
            job = store.job(number)
            if job is not None and job.state in ENDED:
                environment.delete(environment_file(site.paths, number))
