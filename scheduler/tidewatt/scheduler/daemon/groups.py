"""The groups that a user of this host is in, as rules look at them."""

import grp
import os
import pwd
import time

KEPT_S = 60.0  # real seconds: a directory of users may be far away
_known: dict[str, tuple[float, frozenset[str]]] = {}


def groups_of(user: str) -> frozenset[str]:
    """Names of the user's groups; none of a user that this host does not know."""
    now = time.monotonic()
    known = _known.get(user)
    if known is None or now - known[0] > KEPT_S:
        if len(_known) > 1000:
            _known.clear()
        known = _known[user] = now, _looked_up(user)
    return known[1]


def _looked_up(user: str) -> frozenset[str]:
    try:
        entry = pwd.getpwnam(user)
        return frozenset(_name(gid) for gid in os.getgrouplist(user, entry.pw_gid))
    except (KeyError, OSError):
        return frozenset()


def _name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
