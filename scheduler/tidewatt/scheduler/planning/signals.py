"""Which signal decides, and which other one has a say."""

from tidewatt.forecasting.kind import Signal
from tidewatt.forecasting.modelled_marginal import LABEL
from tidewatt.forecasting.series import Outlook

BOTH = "both"


def deciding(policy: str, region: str = "") -> Signal:
    """The signal that plans of a region are made by; `region` is its own word, over the `policy`'s.

    Of both it is the average one, and the marginal one must not get worse by it.
    """
    wanted = region or policy
    return Signal.AVERAGE if wanted == BOTH else Signal(wanted)


def beside(policy: str, region: str = "") -> Signal | None:
    """The signal that must not get worse; None where one alone decides."""
    return Signal.MARGINAL if (region or policy) == BOTH else None


def binds(other: Outlook | None) -> bool:
    """True where the other signal is known well enough for plans to be turned down by it.

    An average that stands in for a missing marginal signal says nothing new. One that is only modelled from
    generation by fuel is not good enough. In California a real marginal signal can be held against models:
    the word of the built-in profile made plans worse by both ledgers, that of the model of the last days' mix
    lost by the average ledger about what it won by the marginal one (docs/planning.md). Who trusts a model
    lets it decide alone: `signal = "marginal"`.
    """
    if other is None or other.kind.signal is not Signal.MARGINAL:
        return False
    return any(LABEL not in part.source for part in other.segments)
