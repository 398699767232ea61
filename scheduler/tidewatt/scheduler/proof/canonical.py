"""The one spelling in bytes of what is hashed: RFC 8785 (JCS) for integers, strings, lists and objects."""

import hashlib
import json
import re
from typing import Any

LARGEST = 2**53 - 1  # integers beyond it are not the same number to every reader of JSON (RFC 8785, 3.2.2.3)
_ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
_SORTED_OTHERWISE = re.compile("[\ud800-\U0010ffff]")  # JCS sorts by UTF-16 units, Python by code points
_HALF_PAIR = re.compile("[\ud800-\udfff]")


def canonical(value: Any) -> bytes:
    """The RFC 8785 form of integers and strings, and lists and objects of them.

    Python's own encoder writes the same bytes for these, several times as fast, but where an object has
    characters that the two sort differently. Half a surrogate pair, which RFC 8785 refuses and only stores of
    earlier releases may hold, is escaped as JSON itself allows, so that such an event can be chained, too.
    """
    if type(value) is int:
        return b"%d" % value
    text = _ENCODE(value)
    if text.isascii() or not _SORTED_OTHERWISE.search(text):
        return text.encode()
    if _HALF_PAIR.search(text):
        return text.encode(errors="backslashreplace")  # \udXXX, which is JSON's escape of it
    import rfc8785  # rarely needed

    return bytes(rfc8785.dumps(value))


def digest(value: Any) -> str:
    """SHA-256 of the canonical form, in hexadecimal digits."""
    return sha256(canonical(value))


def sha256(content: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def parsed(content: bytes) -> Any:
    """The value in a signed file; what is signed can be read in one way only.

    Raises:
        ValueError: where it is no JSON, or an object has a name twice.
    """
    return _DECODE(content.decode())


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs (`object_pairs_hook`); raises ValueError where it has a name twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has {double[:80]!r} twice, which is not canonical")
    return found


_DECODE = json.JSONDecoder(object_pairs_hook=once).decode


def check(value: Any) -> None:
    """Raises TypeError unless the value holds only strings, and integers that every reader of JSON can."""
    match value:
        case str():
            return
        case bool() | float() | None:
            raise TypeError(f"events hold integers and strings only, not {value!r}")
        case int():
            if not -LARGEST <= value <= LARGEST:
                raise TypeError(f"events hold integers and strings only, integers up to 2^53-1, not {value}")
        case dict():
            for each in value.values():
                check(each)
        case list() | tuple():
            for each in value:
                check(each)
