"""What docs/proof.md tells its readers to do by hand works, and its formulas give the receipt's numbers."""

import hashlib
import json
import re
import shutil
import subprocess
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.integration.scheduler.ledger_day import Day, day

PAGE = Path(__file__).resolve().parents[3] / "docs" / "proof.md"


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> Day:
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    return day(tmp_path_factory.mktemp("day"), seed=8, jobs=2, reports=0)


@pytest.fixture
def unpacked(today: Day, tmp_path: Path) -> Path:
    with zipfile.ZipFile(BytesIO(today.bundles["job 2"])) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def test_recipe_by_hand_works(today: Day, unpacked: Path) -> None:
    if not all(shutil.which(tool) for tool in ("openssl", "sha256sum", "base64", "sed", "bash")):
        pytest.skip("openssl or coreutils are not installed")
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    assert found is not None
    command = ["bash", "-euc", found[1]]
    done = subprocess.run(command, cwd=unpacked, check=True, capture_output=True, text=True)
    said = done.stdout.splitlines()
    assert said[0] == "Signature Verified Successfully"
    assert said[1].split()[0] == today.key.fingerprint
    assert said[2:] == [
        f"{name}: as signed" for name in ("chain.jsonl", "heads.jsonl", "inputs.json", "key.pem")
    ]
    (unpacked / "inputs.json").write_bytes(b"{}")
    changed = subprocess.run(
        ["bash", "-uc", found[1]], cwd=unpacked, check=False, capture_output=True, text=True
    )
    assert "inputs.json" not in changed.stdout


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def test_chain_follows_from_the_page_s_formulas(unpacked: Path) -> None:
    head, *rows = [json.loads(line) for line in (unpacked / "chain.jsonl").read_bytes().splitlines()]
    tip = bytes.fromhex(head["after_hash"])
    for row in rows:
        if "payload" in row:
            hidden = row.get("hidden", {})
            fields = {name: sha256(canonical(value)).hex() for name, value in row["payload"].items()}
            fields |= {name: digest for name, digest in hidden.items() if name}
            reason = hidden.get("") or sha256(canonical(row["reason"])).hex()
            names = ("attempt_id", "job_id", "kind", "seq", "time_ms")
            row = {name: row[name] for name in names} | {
                "body": sha256(canonical({"payload": fields, "reason": reason})).hex()
            }
        tip = sha256(tip + sha256(canonical(row)))
    newest = json.loads((unpacked / "heads.jsonl").read_bytes().splitlines()[-1])
    import base64

    statement = json.loads(base64.b64decode(newest["payload"]))
    assert statement["subject"] == [{"name": "ledger", "digest": {"sha256": tip.hex()}}]


def test_account_follows_from_the_page_s_formulas(unpacked: Path) -> None:
    record = json.loads((unpacked / "receipt.json").read_bytes())
    events = [json.loads(line) for line in (unpacked / "chain.jsonl").read_bytes().splitlines()][1:]
    assert record["ledgers"]
    assert all(row["cells"] for row in record["profile"])
    own = [each for each in events if each.get("job_id") == 2 and "payload" in each]
    frozen = own[0]["payload"]["frozen"]
    pue = {e["attempt_id"]: e["payload"]["pue_micro"] for e in own if e["kind"] == "attempt.launching"}
    told = json.loads((unpacked / "inputs.json").read_bytes())["intensity"]
    series = {each["signal"]: json.loads((unpacked / each["file"]).read_bytes()) for each in told}

    def mg(signal: str, at_ms: int) -> int:
        found = series[signal]
        steps = zip(found["start_ms"], found["end_ms"], found["mg_per_kwh"], strict=True)
        return next(int(value) for start, end, value in steps if start <= at_ms < end)

    for ledger in record["ledgers"]:
        sums = dict.fromkeys(("emissions_ug", "actual_ug", "feasible_ug", "hypothetical_ug"), 0)
        begins = {"feasible_ug": record["feasible_start_ms"], "hypothetical_ug": frozen["submitted_ms"]}
        for row in record["profile"]:
            for start_ms, _end_ms, at_ms, active_uj, idle_uj in row["cells"]:
                here = mg(ledger["signal"], start_ms) * pue[row["attempt_id"]]
                sums["emissions_ug"] += (active_uj + idle_uj) * here
                sums["actual_ug"] += active_uj * here
                for name, begin_ms in begins.items() if row["productive"] else ():
                    sums[name] += (
                        active_uj * mg(ledger["signal"], begin_ms + at_ms) * frozen["home_pue_micro"]
                    )
        for name, amount in sums.items():
            assert abs(amount * 1000 / 3.6e12 / 1e6 - ledger[name]) <= 0.51, name
