"""Whether runs of several units fit on nodes, each run on one node from its start to its end.

To decide this exactly is as hard as packing bins. What is done is a greedy placing in order of start, on the
fullest node that has room; where that fails, and the runs are not too many, with other rules for choosing the
node. A packing that is found is proof, one that is not found is none.
"""

from collections.abc import Callable, Sequence
from heapq import heappop, heappush

import numpy as np

from tidewatt.scheduler.planning.timetable.problem import Ints

Run = tuple[int, int, int]  # start (ms), end (ms), units
_Node = tuple[int, int, int]  # free units, when its last run ends, number
_Rule = Callable[[_Node, Run], tuple[int, ...]]

# Which of the nodes that have room takes a run: the least number of these is the best.
_RULES: tuple[_Rule, ...] = (
    lambda node, run: (node[0], abs(node[1] - run[1])),  # the fullest, emptied at about the same time
    lambda node, run: (abs(node[1] - run[1]), node[0]),
    lambda node, run: (-node[0], node[2]),  # the emptiest
)
_PATIENCE = 300_000  # pairs of a run and a node that are looked at with one rule


def fits_on_nodes(runs: Sequence[Run], taken: Sequence[Run], node_units: int, nodes: int) -> bool:
    """True where a node was found for each of `runs`; what is `taken` may be cut into pieces to fit."""
    if any(units > node_units for _, _, units in runs):
        return False
    if _is_plain([units for _, _, units in runs], node_units) and not taken:
        return True  # equal runs that fill a node without rest need nothing but room
    pieces = [piece for each in taken for piece in _pieces(each, node_units)]
    ordered = sorted([*runs, *pieces], key=lambda run: (run[0], -run[2], run[0] - run[1]))
    if _fullest_first(ordered, node_units, nodes):
        return True
    patient = len(ordered) * nodes <= _PATIENCE
    return patient and any(_place(ordered, node_units, nodes, rule) for rule in _RULES)


def taken_from(edges_ms: Ints, units: Ints) -> list[Run]:
    """What is off a place's largest number of units, in few long stretches: last taken, first back."""
    missing = (units.max() - units).tolist()
    changes = np.flatnonzero(np.diff(np.concatenate(([0], missing)))).tolist()
    found: list[Run] = []
    held: list[tuple[int, int]] = []  # since when, units
    level = 0
    for slot in changes:
        at, now = int(edges_ms[slot]), missing[slot]
        if now > level:
            held.append((at, now - level))
        while now < level:
            since, amount = held.pop()
            back = min(amount, level - now)
            found.append((since, at, back))
            if amount > back:
                held.append((since, amount - back))
            level -= back
        level = now
    end = int(edges_ms[-1])
    return [*found, *((since, end, amount) for since, amount in held)]


def _fullest_first(ordered: Sequence[Run], node_units: int, nodes: int) -> bool:
    """Places each run on the fullest node that has room; nodes are kept by how much they have free."""
    free = [set[int]() for _ in range(node_units)] + [set(range(nodes))]
    ending: list[tuple[int, int, int]] = []  # end, node, units
    level = [node_units] * nodes
    for start, end, units in ordered:
        while ending and ending[0][0] <= start:
            _, node, back = heappop(ending)
            free[level[node]].remove(node)
            level[node] += back
            free[level[node]].add(node)
        room = next((amount for amount in range(units, node_units + 1) if free[amount]), None)
        if room is None:
            return False
        node = free[room].pop()
        level[node] = room - units
        free[level[node]].add(node)
        heappush(ending, (end, node, units))
    return True


def _place(ordered: Sequence[Run], node_units: int, nodes: int, rule: _Rule) -> bool:
    """Places the runs one by one, on the node that the rule prefers."""
    free, until = [node_units] * nodes, [0] * nodes
    ending: list[tuple[int, int, int]] = []  # end, node, units
    for run in ordered:
        start, end, units = run
        while ending and ending[0][0] <= start:
            _, node, back = heappop(ending)
            free[node] += back
        room = [(free[node], until[node], node) for node in range(nodes) if free[node] >= units]
        if not room:
            return False
        node = min(room, key=lambda each: rule(each, run))[2]
        free[node] -= units
        until[node] = end if free[node] + units == node_units else max(until[node], end)
        heappush(ending, (end, node, units))
    return True


def _is_plain(sizes: Sequence[int], node_units: int) -> bool:
    return len(set(sizes)) <= 1 and (not sizes or node_units % sizes[0] == 0)


def _pieces(run: Run, node_units: int) -> list[Run]:
    start, end, units = run
    whole, rest = divmod(units, node_units)
    return [(start, end, node_units)] * whole + ([(start, end, rest)] if rest else [])
