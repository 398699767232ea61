"""The rules of names and forms that `promtool check metrics` looks at, for where promtool is not at hand.

After prometheus/client_golang, prometheus/testutil/promlint: help, types and units in names, base units,
`_total` for counters alone, reserved letters, labels and endings, snake case, no abbreviated units, and each
sample once.
"""

import re
from collections import Counter

TYPES = ("counter", "gauge", "histogram", "summary", "untyped")
BASE = {
    "amperes", "bytes", "celsius", "grams", "joules", "kelvin", "meters", "metres", "moles", "seconds",
    "volts", "ratio", "watts",
}  # fmt: skip
NOT_BASE = {
    "minutes", "hours", "days", "weeks", "milliseconds", "microseconds", "kilojoules", "watthours",
    "kwh", "kilograms", "milligrams", "kilobytes", "megabytes", "percent", "milliwatts", "kilowatts",
    "microjoules", "tonnes",
}  # fmt: skip
ABBREVIATED = {
    "s",
    "ms",
    "us",
    "ns",
    "sec",
    "b",
    "kb",
    "mb",
    "gb",
    "tb",
    "pb",
    "m",
    "h",
    "d",
    "kg",
    "g",
    "j",
    "w",
}
LINE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
LABEL = re.compile(r'(?P<key>[a-zA-Z_]\w*)="(?P<word>(?:[^"\\\n]|\\["\\n])*)"')


def mistakes(text: str) -> list[str]:
    """What is wrong with a page of metrics in the text format, one sentence each."""
    found: list[str] = []
    helps: dict[str, str] = {}
    types: dict[str, str] = {}
    samples: Counter[str] = Counter()
    if not text.endswith("\n"):
        found.append("the last line has no end")
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "#":
            kind, _, said = rest.partition(" ")
            name, _, what = said.partition(" ")
            if kind in ("HELP", "TYPE"):
                known = helps if kind == "HELP" else types
                found += [f"{name}: {kind} twice"] if name in known else []
                known[name] = what
            continue
        match = LINE.fullmatch(line)
        if match is None:
            found.append(f"no sample: {line[:80]}")
            continue
        samples[line.rpartition(" ")[0]] += 1
        found += _of_sample(match, helps, types)
    found += [f"{name}: told {count} times" for name, count in samples.items() if count > 1]
    for name in types:
        found += _of_family(name, helps.get(name, ""), types[name])
    return found


def _of_sample(match: "re.Match[str]", helps: dict[str, str], types: dict[str, str]) -> list[str]:
    name, labels = match["name"], match["labels"] or ""
    found = [] if name in types else [f"{name}: no type"]
    found += [] if helps.get(name) else [f"{name}: no help text"]
    pairs = list(LABEL.finditer(labels))
    if ",".join(pair[0] for pair in pairs) != labels:
        found.append(f"{name}: labels cannot be read: {labels[:80]}")
    keys = [pair["key"] for pair in pairs]
    found += [f"{name}: label {key} twice" for key, count in Counter(keys).items() if count > 1]
    found += [
        f"{name}: label {key} is reserved" for key in keys if key in ("le", "quantile") or key[:2] == "__"
    ]
    found += [f"{name}: label {key} is no snake case" for key in keys if key != key.lower()]
    try:
        float(match["value"])
    except ValueError:
        found.append(f"{name}: {match['value']} is no number")
    if "e" in match["value"].lower():
        found.append(f"{name}: {match['value']} is not in fixed point")
    return found


def _of_family(name: str, said: str, kind: str) -> list[str]:
    words = name.split("_")
    found = [] if said else [f"{name}: no help text"]
    found += [] if kind in TYPES else [f"{name}: no such type {kind}"]
    if (kind == "counter") != name.endswith("_total"):
        found.append(f"{name}: _total is for counters alone")
    if kind not in ("histogram", "summary") and words[-1] in ("bucket", "count", "sum"):
        found.append(f"{name}: {words[-1]} is reserved")
    found += [f"{name}: its type is in its name" for word in words if word in TYPES]
    found += [f"{name}: colons are for recording rules"] if ":" in name else []
    found += [f"{name}: no snake case"] if name != name.lower() else []
    found += [f"{name}: {word} is no base unit" for word in words if word in NOT_BASE]
    found += [f"{name}: {word} is an abbreviation" for word in words if word in ABBREVIATED]
    unit = words[-2] if words[-1] == "total" else words[-1]
    misplaced = [word for word in words if word in BASE and word != unit]
    return found + [f"{name}: the unit {word} is not at its end" for word in misplaced]
