"""Events as they happen (server-sent events): one thread reads for all who listen, none waits for another.

https://html.spec.whatwg.org/multipage/server-sent-events.html: each event has the ledger's number as its id,
by which a browser, or a program with `Last-Event-ID`, goes on where its connection broke.
"""

import asyncio
import json
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Annotated, Any

import structlog
from fastapi import FastAPI, Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from tidewatt.backends.clock import moment
from tidewatt.scheduler.access_schema import EventsPage, LoggedView
from tidewatt.scheduler.daemon.access import STILL
from tidewatt.scheduler.daemon.callers import only_uid
from tidewatt.scheduler.daemon.paging import Limit, link
from tidewatt.scheduler.errors import Refused, SchedulerError
from tidewatt.scheduler.store import Store

log = structlog.get_logger()
EVERY_S = 0.2
HEARTBEAT_S = 15.0
AT_ONCE = 500
MOST_WAITING = 2_000  # events that one listener may be behind; it is let go then, and comes back
MOST_STREAMS = 1_000
MOST_OWNERS = 50_000
Event = dict[str, Any]
EVENT: dict[str, Any] = {
    "type": "object",
    "description": "One event of the stream; `data` is JSON, as in the pages.",
    "properties": {
        "id": {"type": "string", "description": "Its number in the ledger."},
        "event": {"type": "string", "description": "Its kind."},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}
After = Annotated[int, Query(ge=0, le=2**53, description="Events with higher numbers.")]


class Listener:
    """One stream: what it is still to be told. `uid` is whose jobs it is told of, None for all."""

    def __init__(self, loop: asyncio.AbstractEventLoop, uid: int | None) -> None:
        self.loop, self.uid = loop, uid
        self.waiting: asyncio.Queue[Event | None] = asyncio.Queue()

    def tell(self, events: Iterable[Event]) -> None:
        """Called in its own loop."""
        for event in events:
            if self.waiting.qsize() > MOST_WAITING:
                return
            if self.waiting.qsize() == MOST_WAITING:
                self.waiting.put_nowait(None)
                return
            self.waiting.put_nowait(event)

    def let_go(self) -> None:
        """Ends it after what it was told already."""
        self.waiting.put_nowait(None)


class Streams:
    """All streams of a daemon, and the one thread that reads for them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._listeners: set[Listener] = set()
        self._owners: OrderedDict[int, int | None] = OrderedDict()
        self._seq = 0
        self._stop = threading.Event()
        self._wanted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="streams", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._listeners)

    def join(self, listener: Listener) -> int:
        """From now on it is told of all events after the number that comes back.

        Raises:
            Refused: There are too many.
        """
        with self._lock:
            if len(self._listeners) >= MOST_STREAMS or self._stop.is_set():
                raise Refused(f"{MOST_STREAMS} event streams are open already: close some")
            if not self._listeners:
                self._seq = self._store.newest()
            self._listeners.add(listener)
            self._wanted.set()
            return self._seq

    def leave(self, listener: Listener) -> None:
        """Nobody reads it any more."""
        with self._lock:
            self._listeners.discard(listener)
            if not self._listeners:
                self._wanted.clear()

    def close(self) -> None:
        """Ends all streams."""
        self._stop.set()
        self._wanted.set()
        self._thread.join(5.0)
        with self._lock:
            listeners = list(self._listeners)
        for each in listeners:
            _soon(each, each.let_go)

    def read(
        self, after: int, up_to: int | None, uid: int | None, limit: int = AT_ONCE
    ) -> tuple[list[Event], int | None]:
        """Events of one user, or all, after a number; and the number of the last that was looked at."""
        events = self._store.chain(after, up_to, limit)
        return self._of(events, uid), events[-1]["seq"] if events else None

    def _of(self, events: list[Event], uid: int | None) -> list[Event]:
        if uid is None:
            return events
        owners = self._whose({each["job_id"] for each in events if each["job_id"] is not None})
        return [each for each in events if each["job_id"] is not None and owners.get(each["job_id"]) == uid]

    def _whose(self, job_ids: set[int]) -> dict[int, int | None]:
        with self._lock:
            known = {number: self._owners[number] for number in job_ids if number in self._owners}
        found = {number: job.uid for number, job in self._store.numbered(job_ids - known.keys()).items()}
        with self._lock:
            self._owners.update(found)
            while len(self._owners) > MOST_OWNERS:
                self._owners.popitem(last=False)
        return known | found

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self._wanted.wait()
            try:
                self._turn()
            except SchedulerError as error:  # a store that cannot be read now may be later
                log.warning("streams.waiting", error=str(error))

    def _turn(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                after = self._seq
            events = self._store.chain(after, None, AT_ONCE)
            if not events:
                return
            with self._lock:
                listeners = list(self._listeners)
                self._seq = events[-1]["seq"]
            told: dict[int | None, list[Event]] = {}
            for each in listeners:
                if each.uid not in told:
                    told[each.uid] = self._of(events, each.uid)
                if told[each.uid]:
                    _soon(each, each.tell, told[each.uid])


def _soon(listener: Listener, act: Callable[..., None], *arguments: Any) -> None:
    try:
        listener.loop.call_soon_threadsafe(act, *arguments)
    except RuntimeError:  # its door has been closed
        log.info("streams.gone")


async def told(
    streams: Streams,
    after: int | None,
    uid: int | None,
    still: Callable[[], bool],
    beat_s: float,
    *,
    follow: bool,
) -> AsyncIterator[str]:
    """The text of a stream: what has happened after a number, then what happens, with a sign of life."""
    listener = Listener(asyncio.get_running_loop(), uid)
    now = await run_in_threadpool(streams.join, listener)
    try:
        seq = now if after is None else after
        yield f": from {seq}\nretry: 2000\n\n"
        while seq < now:
            events, last = await run_in_threadpool(streams.read, seq, now, uid)
            if not still():
                return
            for event in events:
                yield _text(event)
            if last is None:
                break
            seq = last
        while follow:
            try:
                async with asyncio.timeout(beat_s):
                    found = await listener.waiting.get()
            except TimeoutError:
                if not still():
                    return
                yield ": still here\n\n"
                continue
            if found is None or not still():  # also where there always is something to tell
                return
            if found["seq"] > seq:
                yield _text(found)
    finally:
        streams.leave(listener)


def routes(api: FastAPI, streams: Streams) -> None:
    """Adds `events` to the interface."""
    media = {"content": {"text/event-stream": {"schema": EVENT}}}

    @api.get("/api/v1/events", tags=["events"], response_class=StreamingResponse, responses={200: media})
    async def events(
        request: Request,
        after: After | None = None,
        follow: bool = True,
        beat_s: Annotated[
            float, Query(ge=0.5, le=60, description="Seconds between signs of life.")
        ] = HEARTBEAT_S,
        last_event_id: Annotated[str | None, Header(max_length=20, pattern=r"^[0-9]{1,16}$")] = None,
    ) -> StreamingResponse:
        """Events of your jobs (operators: of all) as they happen, as server-sent events.

        Without `after` and `Last-Event-ID` from now on. `follow=false` ends after what has happened.
        """
        since = int(last_event_id) if last_event_id is not None else after
        still = request.scope.get(STILL, lambda: True)
        text = told(streams, since, only_uid(), still, beat_s, follow=follow)
        return StreamingResponse(text, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    @api.get("/api/v1/events/page", tags=["events"])
    def page(after: After = 0, limit: Limit = 100) -> EventsPage:
        """Events of your jobs (operators: of all) in pages, oldest first."""
        found, last = streams.read(after, None, only_uid(), limit)
        return EventsPage(
            events=tuple(map(_view, found)),
            after=last,
            next=link("events/page", {"limit": limit}, last, "after"),
        )


def _text(event: Event) -> str:
    return f"id: {event['seq']}\nevent: {event['kind']}\ndata: {json.dumps(_plain(event))}\n\n"


def _plain(event: Event) -> dict[str, Any]:
    return _view(event).model_dump(mode="json")


def _view(event: Event) -> LoggedView:
    return LoggedView(
        seq=event["seq"],
        time=moment(event["time_ms"]),
        kind=event["kind"],
        job=event["job_id"],
        attempt_id=event["attempt_id"],
        reason=event["reason"],
        payload=event["payload"],
    )
