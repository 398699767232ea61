"""Replies that need not come again: what a service said last, sent along as a condition (RFC 9110, 13.1)."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace

from tidewatt.forecasting.feeds.reply import MIB, Reply

MOST = 32
LARGEST_BYTES = MIB


class Unchanged:
    """The last replies of a service that named an etag or a date, by what was asked; in memory only."""

    def __init__(self) -> None:
        self._replies: OrderedDict[Hashable, Reply] = OrderedDict()

    def conditions(self, asked: Hashable) -> dict[str, str]:
        """The headers that spare an unchanged reply."""
        kept = self._replies.get(asked)
        if kept is None:
            return {}
        named = {"If-None-Match": kept.etag, "If-Modified-Since": kept.last_modified}
        return {key: value for key, value in named.items() if value}

    def whole(self, asked: Hashable, reply: Reply) -> Reply:
        """The reply, or the one before where this only says that it still holds."""
        kept = self._replies.get(asked)
        if reply.not_modified and kept is not None:
            self._replies.move_to_end(asked)
            return replace(kept, headers={**kept.headers, **reply.headers})
        self._replies.pop(asked, None)
        named = reply.etag or reply.last_modified
        if reply.status == 200 and named and len(reply.body) <= LARGEST_BYTES:
            self._replies[asked] = reply
            if len(self._replies) > MOST:
                self._replies.popitem(last=False)
        return reply
