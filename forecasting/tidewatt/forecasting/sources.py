"""The table of providers, and chains made of a configuration."""

from collections.abc import Callable, Mapping, Sequence

from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.provider import Provider

PROVIDERS: dict[str, Callable[[Mapping[str, object]], Provider]] = {}
"""Factory by the `type` of a source in the configuration; entry points of `tidewatt.providers` extend it."""


def provider(config: Mapping[str, object]) -> Provider:
    """The provider of one `[[source]]` table, such as `{"type": "file", "path": "grid.csv"}`."""
    raise NotImplementedError


def chain(configs: Sequence[Mapping[str, object]], hindsight: bool = False) -> Chain:
    """The chain of all `[[source]]` tables, in order."""
    raise NotImplementedError
