"""Bundles: what an account stands on, in one file that anybody can check without us."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidewatt.scheduler.proof import envelope, heads
from tidewatt.scheduler.proof.archive import packed
from tidewatt.scheduler.proof.canonical import canonical, sha256
from tidewatt.scheduler.proof.envelope import Statement
from tidewatt.scheduler.proof.heads import Head
from tidewatt.scheduler.proof.keys import SigningKey

FORMAT = 1
JOB, REPORT = "job", "report"
STATEMENT, KEY, HEADS, CHAIN, INPUTS = (
    "statement.json",
    "key.pem",
    "heads.jsonl",
    "chain.jsonl",
    "inputs.json",
)
RECEIPT, PUBLISHED = "receipt.json", "report.json"
READINGS = "readings/"
LEDGER = "ledger"  # the subject that stands for the head of the chain
OUTPUT = "output/"  # before the names of what a job made


@dataclass(frozen=True, slots=True)
class Content:
    """What a bundle is made of, but for its signature. `files` are those beside chain, heads, key and inputs.

    `outputs` are digests of what a job made, where it was told.
    """

    kind: str
    subject: str
    inputs: Mapping[str, Any]
    chain: bytes
    files: Mapping[str, bytes]
    software: str
    outputs: Mapping[str, str]


def sealed(content: Content, head: Head, earlier: list[bytes], key: SigningKey) -> bytes:
    """The bundle's file: all digests and the head of the ledger in one signed statement."""
    files = dict(content.files)
    files[CHAIN] = content.chain
    files[INPUTS] = canonical({"format": FORMAT, "kind": content.kind, **content.inputs})
    files[KEY] = key.public.pem
    files[HEADS] = b"".join(line + b"\n" for line in [*earlier, heads.signed(head, key)])
    subjects = {name: sha256(file) for name, file in files.items()}
    outputs = {OUTPUT + name: digest for name, digest in content.outputs.items()}
    predicate = {
        "format": FORMAT,
        "kind": content.kind,
        "subject": content.subject,
        "software": content.software,
        "head": {"seq": head.seq, "time_ms": head.time_ms},
    }
    statement = Statement(envelope.BUNDLE, {**outputs, **subjects, LEDGER: head.hash}, predicate)
    return packed({**files, STATEMENT: envelope.sign(statement, key)})
