"""Speaks to the daemon over its Unix socket, or to one elsewhere, with the standard library alone.

Every command waits for this. Answers are the plain JSON of `schemas`: checking them again would cost a
command more than asking for them.
"""

import os
import secrets
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tidewatt.scheduler.array import Key
from tidewatt.scheduler.exchange import Broken as Broken
from tidewatt.scheduler.exchange import Exchange, answer
from tidewatt.scheduler.exchange import Json as Json
from tidewatt.scheduler.exchange import NoDaemon as NoDaemon
from tidewatt.scheduler.paths import paths
from tidewatt.scheduler.remote import Remote, remote_of

TIMEOUT_S = 30.0


class Client:
    """One method per path of the daemon's interface; each raises NoDaemon, Refused or BadInput.

    `path` is a daemon's socket, or a `Remote`. For programs: `Client.here()`.
    """

    def __init__(self, path: Path | Remote, timeout_s: float = TIMEOUT_S) -> None:
        self.path = path
        self._exchange = Exchange(path, timeout_s)

    @classmethod
    def here(cls, timeout_s: float = TIMEOUT_S) -> "Client":
        """The daemon that the environment names (TIDEWATT_URL, TIDEWATT_PROFILE), else this user's own."""
        return cls(remote_of(os.environ) or paths(os.environ).socket, timeout_s)

    @property
    def far(self) -> bool:
        """Whether the daemon is on another machine, as far as we know: its files are not ours to read."""
        return isinstance(self.path, Remote)

    def status(self) -> Json:
        """The daemon now, a StatusView."""
        return self._ask("GET", "status")

    def submit(self, request: Mapping[str, Any], key: str | None = None) -> Json:
        """The SubmitReply to a SubmitRequest: the job is durable.

        The same `key` (Idempotency-Key) with the same request is one job, however often it is sent; one is
        drawn where none is given, and a connection that breaks is tried once more with it.
        """
        key = key or secrets.token_hex(16)
        try:
            return self._ask("POST", "jobs", request, key)
        except Broken as broken:
            try:
                return self._ask("POST", "jobs", request, key)
            except NoDaemon:
                raise broken from None

    def jobs(
        self,
        states: tuple[str, ...] = (),
        limit: int = 100,
        before: int | None = None,
        *,
        tasks: bool = True,
    ) -> list[Json]:
        """JobViews, newest first, with ids below `before`; of all states where none is named.

        Without `tasks` an array is one of them.
        """
        asked: Json = {"state": ",".join(states), "limit": limit}
        query = urlencode(
            asked | ({"before": before} if before else {}) | ({} if tasks else {"tasks": "false"})
        )
        found: list[Json] = self._ask("GET", f"jobs?{query}")["jobs"]
        return found

    def job(self, key: Key | int) -> Json:
        """The JobView of one job, with its events; the ArrayView of an array."""
        return self._ask("GET", f"jobs/{key}")

    def output(
        self,
        key: Key | int | str,
        attempt_id: str,
        offset: int,
        *,
        here: bool = False,
        stream: str = "stdout",
    ) -> Json:
        """What an attempt elsewhere has written, from that byte on; `here`: also on the daemon's own host."""
        asked: Json = {"attempt": attempt_id, "offset": offset}
        asked |= {"here": "true", "stream": stream} if here else {}
        return self._ask("GET", f"jobs/{key}/logs?{urlencode(asked)}")

    def update(self, key: Key | int, request: Mapping[str, Any]) -> Json:
        """The JobView, or ArrayView, after an UpdateRequest."""
        return self._ask("PATCH", f"jobs/{key}", request)

    def act(self, key: Key | int, verb: str) -> Json:
        """The JobView, or ArrayView, after `cancel`, `hold`, `release` or `start`."""
        return self._ask("POST", f"jobs/{key}/{verb}", {})

    def pause(self, key: Key | int, request: Mapping[str, Any]) -> Json:
        """The JobView, or ArrayView, after a PauseRequest."""
        return self._ask("POST", f"jobs/{key}/pause", request)

    def signal(self, key: Key | int, name: str) -> Json:
        """The JobView, or ArrayView, after its processes were sent a signal."""
        return self._ask("POST", f"jobs/{key}/signal", {"name": name})

    def rerun(self, key: Key | int, request: Mapping[str, Any]) -> Json:
        """The SubmitReply of a new job like that one."""
        return self._ask("POST", f"jobs/{key}/rerun", request)

    def plan(self, request: Mapping[str, Any]) -> Json:
        """The PlanReply to a PlanRequest."""
        return self._ask("POST", "plan", request)

    def forecast(self, zone: str, signal: str, hours: float) -> Json:
        """The ForecastView of a zone; "" for the configured zone and signal."""
        return self._ask("GET", f"forecast?{urlencode({'zone': zone, 'signal': signal, 'hours': hours})}")

    def report(self, since_s: float | None, by: str, baseline: str = "feasible") -> Json:
        """The report over the last `since_s` seconds, all time for None, grouped by `by`."""
        query: Json = {"by": by, "baseline": baseline} | ({} if since_s is None else {"since_s": since_s})
        return self._ask("GET", f"report?{urlencode(query)}")

    def receipts(
        self, since_s: float | None = None, project: str | None = None, user: str | None = None
    ) -> Iterator[Json]:
        """JobViews of ended jobs that have an account, newest first; asked for in pages."""
        asked: Json = {"since_s": since_s, "project": project, "user": user, "limit": 500}
        query = {name: value for name, value in asked.items() if value is not None}
        before: int | None = None
        while True:
            page = self._ask("GET", f"receipts?{urlencode(query | ({'before': before} if before else {}))}")
            yield from page["receipts"]
            before = page["before"]
            if before is None:
                return

    def prices(self, hours: float = 48.0) -> Json:
        """The PricesView: what electricity costs ahead, by region."""
        return self._ask("GET", f"prices?{urlencode({'hours': hours})}")

    def costs(self, since_s: float | None = None, by: str = "none") -> Json:
        """The CostsView of jobs that ended in the last `since_s` seconds, or ever."""
        asked = {"by": by} | ({} if since_s is None else {"since_s": since_s})
        return self._ask("GET", f"costs?{urlencode(asked)}")

    def cost(self, key: Key | int | str) -> Json:
        """The CostsView of a job."""
        return self._ask("GET", f"jobs/{key}/cost")

    def hours(self, since_s: float | None = None) -> Json:
        """Energy by hour and place of jobs that ended in the last `since_s` seconds, or ever."""
        return self._ask("GET", "hours" if since_s is None else f"hours?{urlencode({'since_s': since_s})}")

    def budgets(self, month: str = "") -> list[Json]:
        """The BudgetViews of a month such as 2026-11, of this one where none is named."""
        query = f"?{urlencode({'month': month})}" if month else ""
        found: list[Json] = self._ask("GET", f"budgets{query}")["budgets"]
        return found

    def shares(self) -> Json:
        """The SharesView: fair shares and limits."""
        return self._ask("GET", "shares")

    def regions(self) -> Json:
        """The RegionsView: all regions now; engines are asked, which may take a while."""
        return self._ask("GET", "regions")

    def drain(self, what: str, request: Mapping[str, Any]) -> Json:
        """The DrainReply to a DrainRequest."""
        return self._ask("PUT", f"drains/{quote(what, safe='')}", request)

    def undrain(self, what: str) -> list[Json]:
        """The DrainViews that still hold."""
        found: list[Json] = self._ask("DELETE", f"drains/{quote(what, safe='')}")["drains"]
        return found

    def shifting(self) -> Json:
        """The ShiftingView."""
        return self._ask("GET", "shifting")

    def shift(self, request: Mapping[str, Any]) -> Json:
        """The ShiftingView after a ShiftingRequest."""
        return self._ask("PUT", "shifting", request)

    def explain(self, key: Key | int | str) -> Json:
        """The ExplainReply of a job."""
        return self._ask("GET", f"policy/jobs/{quote(str(key), safe='')}")

    def explain_as_if(self, request: Mapping[str, Any]) -> Json:
        """The ExplainReply to an ExplainRequest."""
        return self._ask("POST", "policy/explain", request)

    def rules(self) -> Json:
        """The RulesView: what operators decide in the configuration file, as text."""
        return self._ask("GET", "policy/rules")

    def put_rules(self, request: Mapping[str, Any]) -> Json:
        """The RulesView after a RulesRequest: they are in force."""
        return self._ask("PUT", "policy/rules", request)

    def try_policy(self, request: Mapping[str, Any]) -> Json:
        """The TryReply to a TryRequest; a replay of many jobs takes minutes."""
        return self._ask("POST", "policy/try", request)

    def reload(self, request: Mapping[str, Any]) -> Json:
        """The ReloadReply to a ReloadRequest."""
        return self._ask("POST", "policy/reload", request)

    def decisions(self, limit: int = 100, before: int | None = None) -> Json:
        """A DecisionsPage: what operators decided, newest first."""
        asked: Json = {"limit": limit} | ({"before": before} if before else {})
        return self._ask("GET", f"decisions?{urlencode(asked)}")

    def decision(self, number: int) -> Json:
        """The DecisionReply of one of them."""
        return self._ask("GET", f"decisions/{number}")

    def undo(self, number: int | None = None) -> Json:
        """The UndoReply; without a number the newest decision that can be undone is."""
        return self._ask("POST", "policy/undo", {"number": number})

    def purge(self, request: Mapping[str, Any]) -> Json:
        """The PurgeReply to a PurgeRequest."""
        return self._ask("POST", "purge", request)

    def backups(self) -> Json:
        """The BackupView: what the newest backup was."""
        return self._ask("GET", "backup")

    def rehearse(self, request: Mapping[str, Any]) -> Json:
        """The RehearseReply to a SubmitRequest: what would be sent; nothing is stored."""
        return self._ask("POST", "rehearse", request)

    def metrics(self, since_s: float | None = None) -> str:
        """Ended jobs of the last `since_s` seconds (a day where not given), in Prometheus' text format."""
        return self.fetch(
            "metrics" if since_s is None else f"metrics?{urlencode({'since_s': since_s})}"
        ).decode()

    def observed(self, zone: str, signal: str, start: datetime, end: datetime) -> Json:
        """What was observed of a zone, by the hour: `steps` are `[start_ms, gco2_per_kwh]`."""
        asked = {"zone": zone, "signal": signal, "start": start.isoformat(), "end": end.isoformat()}
        return self._ask("GET", f"observed?{urlencode(asked)}")

    def fetch(self, path: str) -> bytes:
        """What lies at a path, as it comes: text or an archive."""
        status, content = self._exchange.asked("GET", path)
        if status >= 300:
            answer(status, content)
        return content

    def tokens(self) -> list[Json]:
        """The TokenViews of your tokens."""
        found: list[Json] = self._ask("GET", "tokens")["tokens"]
        return found

    def make_token(self, request: Mapping[str, Any]) -> Json:
        """The TokenReply to a TokenRequest: the token is shown this once."""
        return self._ask("POST", "tokens", request)

    def revoke_token(self, key: str) -> Json:
        """The TokenView of a token that ends, by name or id."""
        return self._ask("DELETE", f"tokens/{quote(key, safe='')}")

    def login_code(self) -> Json:
        """The CodeReply: a code that signs in at the page once."""
        return self._ask("POST", "login-codes", {})

    def audit(self, limit: int = 100, before: int | None = None, user: str = "", method: str = "") -> Json:
        """An AuditPage."""
        asked: Json = {"limit": limit, "user": user, "method": method}
        return self._ask("GET", f"audit?{urlencode(asked | ({'before': before} if before else {}))}")

    def shutdown(self) -> None:
        """Asks the daemon to end; running jobs go on."""
        self._ask("POST", "shutdown", {})

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None
    ) -> Json:
        return answer(*self._exchange.asked(method, path, body, key))
