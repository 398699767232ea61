"""Services whose replies are small may not send large ones: JSON that is read takes many times its size."""

from collections.abc import Iterator

import pytest

from tests.grid.server import NOON, Fault, GridServer, Request, Response
from tidewatt.forecasting import sources
from tidewatt.forecasting.feeds.feed import FeedError
from tidewatt.forecasting.feeds.reply import MIB
from tidewatt.forecasting.feeds.secret import Secret


class SilentServer(GridServer):
    """Has nothing but what a test gives it."""

    def answer(self, request: Request) -> Response:
        """An empty object."""
        return Response(200, {})


@pytest.fixture
def server() -> Iterator[SilentServer]:
    with SilentServer() as running:
        yield running


@pytest.mark.parametrize("kind", ["watttime", "electricitymaps", "great_britain", "open_meteo"])
def test_reply_above_four_mib_is_refused(server: SilentServer, kind: str) -> None:
    feed = sources.feed({"type": kind, "base_url": server.url}, lambda feed, name: Secret("s3cr3t"))
    assert feed is not None
    server.fail(Fault(response=Response(200, b"[" + b"[]," * (4 * MIB // 3) + b"[]]")))
    with pytest.raises(FeedError, match="sent more than 4 MiB: nothing of it is used"):
        feed.fetch_forecast("GB", NOON)
