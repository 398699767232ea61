"""What is asked and told of tokens, sessions, the audit log and the daemon's health."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from tidewatt.scheduler.schemas import JobView, Message

Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@-]*$")]


class TokenRequest(Message):
    """A token to make. `user` is somebody else's name, for root of a shared server; "" for yourself."""

    name: Name
    scope: Literal["read", "submit", "operate"] = "submit"
    lasting_s: Annotated[float, Field(ge=1, le=10 * 366 * 86_400)] | None = 30 * 86_400.0
    user: Annotated[str, Field(max_length=64)] = ""


class TokenView(Message):
    """A token without itself. Times are real; `used` is exact to a minute."""

    id: str
    name: str
    scope: str
    user: str
    created: AwareDatetime
    expires: AwareDatetime | None
    used: AwareDatetime | None
    revoked: AwareDatetime | None
    holds: bool


class TokenReply(Message):
    """A new token; `token` is shown this once."""

    token: str
    view: TokenView


class TokensView(Message):
    """Tokens, newest first."""

    tokens: tuple[TokenView, ...]


class CodeReply(Message):
    """A code that begins one session at the page within `within_s` seconds."""

    code: str
    within_s: float


class AuditView(Message):
    """One line: who asked for what, by which way, and the status of the answer."""

    seq: int
    time: AwareDatetime
    user: str
    way: str
    address: str
    method: str
    path: str
    subject: str
    status: int


class AuditPage(Message):
    """Lines of the audit log, newest first, and where the next page begins."""

    lines: tuple[AuditView, ...]
    before: int | None
    next: str | None


class JobsPage(Message):
    """Jobs, newest first, and where the next page begins."""

    jobs: tuple[JobView, ...]
    before: int | None = None
    next: str | None = None


class ReceiptsPage(Message):
    """Ended jobs that have an account, newest first, and where the next page begins."""

    receipts: tuple[JobView, ...]
    before: int | None
    next: str | None = None


class ObservedView(Message):
    """What was observed of a zone, by the hour: `steps` are `[start_ms, gco2_per_kwh]`."""

    zone: str
    zone_name: str
    source: str
    kind: str
    steps: tuple[Annotated[tuple[int | float, ...], Field(min_length=2, max_length=2)], ...]


class HeadView(Message):
    """The signed head of the ledger: `envelope` is what was signed, by the key with that fingerprint."""

    seq: int
    hash: str
    time_ms: int
    fingerprint: str
    key: str
    envelope: dict[str, object]
    troubles: tuple[str, ...]


class LoggedView(Message):
    """One event of the ledger."""

    seq: int
    time: AwareDatetime
    kind: str
    job: int | None
    attempt_id: str
    reason: str
    payload: dict[str, object]


class EventsPage(Message):
    """Events in order, and where the next page goes on."""

    events: tuple[LoggedView, ...]
    after: int | None
    next: str | None


class HealthView(Message):
    """That the daemon answers, and whether its rounds turn; nothing about anybody's jobs."""

    status: Literal["ok", "slow"]
    version: str
