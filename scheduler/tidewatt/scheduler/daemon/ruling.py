"""Rules edited by operators: checked against the jobs that wait or run, then put in force."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tidewatt.scheduler import config
from tidewatt.scheduler.daemon import rule_file
from tidewatt.scheduler.daemon.callers import operator_only
from tidewatt.scheduler.daemon.policy_views import Policies
from tidewatt.scheduler.daemon.region_board import facts_of
from tidewatt.scheduler.daemon.rule_file import RuleFile
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.errors import BadInput, Refused, SchedulerError
from tidewatt.scheduler.jobs import JobState
from tidewatt.scheduler.operator_schema import (
    ReloadRequest,
    RuleChangeView,
    RulesCheckView,
    RulesRequest,
    RulesText,
    RulesView,
)
from tidewatt.scheduler.page.desk import Change, Checked, Rules
from tidewatt.scheduler.policies import rules as stated
from tidewatt.scheduler.store.records import JobRecord

if TYPE_CHECKING:
    from fastapi import FastAPI

MOST_LOOKED_AT = 500
MOST_TOLD = 50
_OPEN = (JobState.RUNNING, JobState.PAUSED, JobState.WAITING, JobState.HELD)


class Ruling:
    """The rules as text, for operators."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._site = service.site
        self._policies = Policies(service)

    def shown(self) -> Rules:
        """The rules as they stand in the file; why they cannot be edited here, where that is so."""
        try:
            operator_only("see and edit the rules as a file")
            file = self._file()
        except SchedulerError as error:
            return Rules("", "", "", str(error))
        return Rules(str(file.path), file.rules, file.digest)

    def checked(self, text: str) -> Checked:
        """What these rules would change for jobs that have not ended.

        Raises:
            BadInput: They cannot be taken.
            Refused: Whoever asks is no operator.
        """
        operator_only("edit the rules")
        return self._checked(self._file(), text)

    def put(self, text: str, digest: str) -> None:
        """Writes them down and has the daemon go by them; a file that is refused then is put back.

        Raises:
            BadInput: They cannot be taken.
            Refused: Whoever asks is no operator, or the file has changed since it was shown.
        """
        operator_only("edit the rules")
        with self._service.lock:
            file = self._file()
            if file.digest != digest:
                raise Refused(f"{file.path} has changed since these rules were opened: open them anew")
            self._checked(file, text)
            whole = file.with_rules(text)
            rule_file.put(file, whole)
            try:
                self._policies.reload(ReloadRequest())
            except SchedulerError:
                rule_file.put(rule_file.RuleFile(file.path, whole, "", "", ""), file.whole)
                raise

    def _file(self) -> RuleFile:
        path = self._site.reload().path if self._site.reload is not None else None
        if path is None:
            raise Refused("this daemon was started without a configuration file: `tidewatt up --config FILE`")
        return rule_file.read(path)

    def _checked(self, file: RuleFile, text: str) -> Checked:
        rules = self._loaded(file, file.with_rules(text)).rules
        jobs = self._service.store.jobs(_OPEN, limit=MOST_LOOKED_AT)
        changes = tuple(self._changes(rules, jobs))
        return Checked(len(rules.rules), len(jobs), changes[:MOST_TOLD])

    def _changes(self, rules: stated.Rules, jobs: list[JobRecord]) -> Iterator[Change]:
        names = tuple(region.name for region in self._site.board.stated)
        for job in jobs:
            before = self._site.board.verdicts_of(job)
            for verdict in rules.verdicts(facts_of(job), names):
                old = before[verdict.region]
                if (old.word, old.rule) != (verdict.word, verdict.rule):
                    yield Change(job.key, verdict.region, str(old), str(verdict))

    def _loaded(self, file: RuleFile, whole: str) -> config.Loaded:
        """The configuration with them, read as it would be at the next start."""
        trial = file.path.resolve().with_name(f".{file.path.name}.check-{os.getpid()}")
        try:
            trial.write_text(whole, encoding="utf-8")
            return config.load(trial, os.environ, {})
        except BadInput as error:
            raise BadInput(str(error).replace(str(trial), str(file.path))) from None
        except OSError as error:
            raise Refused(f"nothing can be written beside {file.path}: {error.strerror}") from None
        finally:
            Path(trial).unlink(missing_ok=True)


def routes(api: "FastAPI", service: Service) -> None:
    """Adds the rules as text to the interface."""
    ruling = Ruling(service)

    @api.get("/api/v1/policy/rules")
    def rules() -> RulesView:
        """What operators decide in the configuration file, as text."""
        found = ruling.shown()
        if found.trouble:
            raise Refused(found.trouble)
        return RulesView(path=found.path, text=found.text, digest=found.digest)

    @api.post("/api/v1/policy/rules/check")
    def check(request: RulesText) -> RulesCheckView:
        """Whether other rules can be taken, and which jobs they would treat otherwise."""
        found = ruling.checked(request.text)
        changes = tuple(
            RuleChangeView(job=each.job, region=each.region, before=each.before, after=each.after)
            for each in found.changes
        )
        return RulesCheckView(rules=found.rules, looked_at=found.looked_at, changes=changes)

    @api.put("/api/v1/policy/rules")
    def put(request: RulesRequest) -> RulesView:
        """Writes other rules into the configuration file, and puts them in force."""
        ruling.put(request.text, request.digest)
        return rules()
