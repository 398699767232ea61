"""What a check found: what holds, what does not, and what it cannot tell."""

from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """How a check ended."""

    HOLDS = "holds"
    BROKEN = "broken"
    OPEN = "open"  # it cannot be checked with what is there


@dataclass(frozen=True, slots=True)
class Finding:
    """One check in one sentence."""

    verdict: Verdict
    subject: str
    found: str


@dataclass(slots=True)
class Outcome:
    """The findings of a bundle in the order of the checks; `signed_by` is the fingerprint of its key.

    `needs_key` are the series that it only has the digests of, in words. `outputs` are the SHA-256 digests of
    what its job made, by name, where they are bound.
    """

    kind: str = ""
    subject: str = ""
    signed_by: str = ""
    vouched: bool = False  # the reader has that key from elsewhere
    partial: bool = False  # some accounts could not be computed again
    findings: list[Finding] = field(default_factory=list)
    needs_key: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """True where nothing that could be checked is broken."""
        return not any(each.verdict is Verdict.BROKEN for each in self.findings)

    def holds(self, subject: str, found: str) -> None:
        """Adds a check that passed."""
        self.findings.append(Finding(Verdict.HOLDS, subject, found))

    def broken(self, subject: str, found: str) -> None:
        """Adds a check that failed."""
        self.findings.append(Finding(Verdict.BROKEN, subject, found))

    def open(self, subject: str, found: str) -> None:
        """Adds what cannot be checked."""
        self.findings.append(Finding(Verdict.OPEN, subject, found))

    def told(self, subject: str, good: bool, found: str, otherwise: str) -> bool:
        """Adds a check with what it found either way; returns whether it passed."""
        (self.holds if good else self.broken)(subject, found if good else otherwise)
        return good
