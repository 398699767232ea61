"""The tables of the store, times in Unix milliseconds; all that is not `event` is derived from it."""

import json
from typing import Any

import sqlalchemy as sa

Time = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # STRICT tables know INTEGER only, of 64 bits


class Json(sa.TypeDecorator[Any]):
    """JSON in a text column, in one canonical spelling."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else canonical(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        return None if value is None else json.loads(value)


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


metadata = sa.MetaData()

event = sa.Table(
    "event",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("time_ms", Time, nullable=False),
    sa.Column("job_id", sa.Integer, nullable=True, index=True),
    sa.Column("attempt_id", sa.Text, nullable=False, default=""),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("payload", Json, nullable=False),
    sa.Column("hash", sa.Text, nullable=False, server_default=""),  # of this event and all before it
    sa.Column("hidden", Json, nullable=True),  # digests of what was purged from it, by name
    sa.Index("ix_event_kind", "kind", "time_ms"),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)

job = sa.Table(
    "job",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("since_ms", Time, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("labels", Json, nullable=False),
    sa.Column("argv", Json, nullable=False),
    sa.Column("cwd", sa.Text, nullable=False),
    sa.Column("stdout", sa.Text, nullable=False),
    sa.Column("stderr", sa.Text, nullable=False),
    sa.Column("outputs", Json, nullable=False),
    sa.Column("submitted_ms", Time, nullable=False),
    sa.Column("finish_by_ms", Time, nullable=True),
    sa.Column("start_by_ms", Time, nullable=True),
    sa.Column("duration_ms", Time, nullable=False),
    sa.Column("duration_source", sa.Text, nullable=False),
    sa.Column("time_limit_ms", Time, nullable=True),
    sa.Column("gpus", sa.Integer, nullable=False),
    sa.Column("gpu_kind", sa.Text, nullable=False),
    sa.Column("cpus", sa.Integer, nullable=False),
    sa.Column("mem_mb", sa.Integer, nullable=False),
    sa.Column("regions", Json, nullable=False),
    sa.Column("exclude_regions", Json, nullable=False),
    sa.Column("late", sa.Integer, nullable=False),
    sa.Column("asked", sa.Integer, nullable=False),  # `tidewatt start`: as soon as it fits
    sa.Column("stopping", sa.Integer, nullable=False),  # `tidewatt cancel` while it runs
    sa.Column("power_mw", Time, nullable=False),
    sa.Column("power_source", sa.Text, nullable=False),
    sa.Column("source", Json, nullable=False),  # commit, digest, method of the working tree at submit
    sa.Column("snapshot", sa.Integer, nullable=False),
    sa.Column("umask", sa.Integer, nullable=False),  # the submitter's
    sa.Column("keeps_env", sa.Integer, nullable=False),
    sa.Column("frozen", Json, nullable=False),  # the baseline's inputs, fixed before any outcome is known
    sa.Column("plan", Json, nullable=True),
    sa.Column("at_risk", sa.Text, nullable=False),
    sa.Column("warnings", Json, nullable=False),
    sa.Column("ended_ms", Time, nullable=True),
    sa.Column("settlement_state", sa.Text, nullable=False),
    sa.Column("settlement", Json, nullable=True),
    sa.Column("array", sa.Integer, nullable=False, index=True),  # number of its first task; 0: none
    sa.Column("array_task", sa.Integer, nullable=False),
    sa.Column("array_size", sa.Integer, nullable=False),
    sa.Column("array_limit", sa.Integer, nullable=False),  # so many at a time; 0: any number
    sa.Column("after", Json, nullable=False),  # jobs that have to be done before
    sa.Column("after_any", Json, nullable=False),  # jobs that have to have ended before, however
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("retries", sa.Integer, nullable=False),  # allowed after failures
    sa.Column("retried", sa.Integer, nullable=False),  # used
    sa.Column("not_before_ms", Time, nullable=True),  # the pause after a failure
    sa.Column("kinds", Json, nullable=False),  # acceptable kinds of GPU with their ratios
    sa.Column("data_mb", sa.Integer, nullable=False),  # what moves with it to another region
    sa.Column("postponed", sa.Integer, nullable=False),  # how often a plan moved its start later
    sa.Column("guard_ms", Time, nullable=True),  # the duration that its deadline is kept with
    sa.Column("estimate_ms", Time, nullable=True),  # the owner's own, where earlier runs suggest another
    sa.Column("pausing", Json, nullable=True),  # how it may be interrupted; null: it may not
    sa.Column("progress_ms", Time, nullable=False),  # work of its paused attempts that was kept, at speed 1
    sa.Column("paused", sa.Text, nullable=False),  # who paused it: "plan", "owner"; "": nobody
    sa.Column("uid", sa.Integer, nullable=True),  # the system user it runs as; null: the daemon's
    sa.Index("ix_job_uid", "uid", "id"),
    sa.Index("ix_job_user", "user", "id"),
    sa.Index("ix_job_project", "project", "id"),
    sa.Index("ix_job_state_uid", "state", "uid", "id"),
    sa.Index("ix_job_user_state", "user", "state", "id"),
    sa.Index("ix_job_user_name", "user", "name", "id"),
    sa.Index("ix_job_submitted_ms", "submitted_ms"),
    sa.Index("ix_job_ended_ms", "ended_ms"),
    sa.Index("ix_job_open_accounts", "settlement_state", "ended_ms", "id"),
    sqlite_strict=True,
    sqlite_autoincrement=True,  # an id is never used twice
)

attempt = sa.Table(
    "attempt",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("job_id", sa.Integer, sa.ForeignKey("job.id"), nullable=False, index=True),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("since_ms", Time, nullable=False),
    sa.Column("region", sa.Text, nullable=False),
    sa.Column("pool", sa.Text, nullable=False),
    sa.Column("gpu_uuids", Json, nullable=False),
    sa.Column("factors", Json, nullable=False),  # the region's zones and PUE when it was launched
    sa.Column("launched_ms", Time, nullable=False),
    sa.Column("started_ms", Time, nullable=True),
    sa.Column("ended_ms", Time, nullable=True),
    sa.Column("exit_code", sa.Integer, nullable=True),
    sa.Column("signal", sa.Integer, nullable=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Index("ix_attempt_ended_ms", "ended_ms"),
    sqlite_strict=True,
)

decision = sa.Table(  # what operators decided while the daemon ran; each also stands in the event table
    "decision",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),  # "drain:eu", "drain:GPU-1b2c", "shifting"
    sa.Column("value", Json, nullable=False),
    sa.Column("since_ms", Time, nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sqlite_strict=True,
)

token = sa.Table(  # who may ask over TCP; never the token itself
    "token",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # its public part
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("uid", sa.Integer, nullable=True),  # null: the daemon's own user
    sa.Column("created_ms", Time, nullable=False),
    sa.Column("expires_ms", Time, nullable=True),
    sa.Column("used_ms", Time, nullable=True),
    sa.Column("revoked_ms", Time, nullable=True),
    sqlite_strict=True,
)

session = sa.Table(  # of the page, each signed in with a token
    "session",
    metadata,
    sa.Column("sha256", sa.Text, primary_key=True),  # of the cookie
    sa.Column("token_id", sa.Text, nullable=False),
    sa.Column("csrf", sa.Text, nullable=False),
    sa.Column("created_ms", Time, nullable=False),
    sa.Column("expires_ms", Time, nullable=False),
    sqlite_strict=True,
)

audit = sa.Table(  # who asked for what, and was refused what
    "audit",
    metadata,
    sa.Column("seq", Time, primary_key=True, autoincrement=False),
    sa.Column("time_ms", Time, nullable=False, index=True),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("way", sa.Text, nullable=False),  # "socket", "token NAME", "page NAME", "" for nobody known
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),  # the job that came of it, where one did
    sa.Column("status", sa.Integer, nullable=False),
    sqlite_strict=True,
)

idempotency = sa.Table(  # submissions that must not be carried out twice
    "idempotency",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),  # of the request
    sa.Column("time_ms", Time, nullable=False, index=True),
    sa.Column("answer", Json, nullable=False),
    sqlite_strict=True,
)
