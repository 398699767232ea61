"""Which sources' numbers may be handed on, so that others can check an account without a key of their own."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """Whether a source's numbers may travel with an account, and by which terms."""

    redistributable: bool
    text: str


# By how a source's name begins. Our reading of the published terms, to the safe side: what is not known to be
# open is not handed on.
TERMS: dict[str, Terms] = {
    "EIA": Terms(True, "public domain: https://www.eia.gov/about/copyrights_reuse.php"),
    "ENTSO-E": Terms(True, "generation by type is on its list of data for free re-use, CC BY 4.0: ENTSO-E"),
    "GB Carbon Intensity": Terms(True, "with attribution: https://github.com/carbon-intensity/terms"),
    "file ": Terms(True, "the operator's own file: hand it on only where its terms allow that"),
    "WattTime": Terms(False, "for subscribers: https://watttime.org/terms-of-service"),
    "Electricity Maps": Terms(False, "by its API's terms: https://www.electricitymaps.com/legal"),
}
UNKNOWN = Terms(False, "its terms are not known here")


def terms_of(source: str) -> Terms:
    """The terms of a source by its name; those of one that is not known allow nothing."""
    return next((terms for name, terms in TERMS.items() if source.startswith(name)), UNKNOWN)
