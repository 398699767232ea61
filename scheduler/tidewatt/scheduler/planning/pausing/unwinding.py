"""The plan that led to the end of a programme."""

from tidewatt.scheduler.planning.pausing.borders import EARLY, ON_EDGE, PARTED, WHOLE, Move
from tidewatt.scheduler.planning.pausing.progress import Programme
from tidewatt.scheduler.planning.pausing.tables import NEVER
from tidewatt.scheduler.planning.pausing.work import Ints

Piece = tuple[int, int, int]  # place, running from, to: Unix milliseconds, without restart and checkpoint


def unwound(programme: Programme, edges_ms: Ints) -> list[Piece] | None:
    """The pieces of the best plan, in order of time; None where there is none."""
    end = programme.end
    if not end.grams < min(place.tables.penalty for place in programme.places) / 2:
        return None
    found: list[Piece] = []
    place, edge, layer, table = end.place, end.edge, end.layer, end.source
    left_out, progress = end.left_out, programme.units + max(0, end.left_out)
    while True:
        stopped = int(edges_ms[edge]) - _out_ms(programme, place, left_out)
        start, progress = _started(programme, place, edge, layer, table, progress)
        begun = int(edges_ms[start.edge]) + _out_ms(programme, place, start.left_out)
        found.append((place, begun, stopped))
        if progress == 0:
            return found[::-1]
        layer -= programme.limited
        stop = _stopped(programme, start, layer, progress)
        place, edge, left_out, table = stop.place, stop.edge, stop.left_out, stop.source
        progress += max(0, left_out)


def _out_ms(programme: Programme, place: int, left_out: int) -> int:
    """How far a border lies from its edge."""
    return 0 if left_out == ON_EDGE else programme.left_out_ms(place, left_out)


def _started(
    programme: Programme, place: int, edge: int, layer: int, table: int, progress: int
) -> tuple[Move, int]:
    """The best start of a stint that ran here with so much done, and what had been done then."""
    into, speed = PARTED if table == PARTED else WHOLE, programme.places[place].speed
    barred = programme.places[place].tables.barred
    best: tuple[float, Move, int] | None = None
    for move in programme.starts:
        landed = move.landed_early if table == EARLY else move.landed
        if move.place != place or move.into != into or landed > edge or barred[move.edge] != barred[edge]:
            continue
        if not programme.kept_marks(move, edge, table, progress):
            continue
        before = progress - speed * (edge - move.edge) + max(0, move.left_out)
        grams = move.at(layer, before)
        if grams < (NEVER if best is None else best[0]):
            best = grams, move, before
    assert best is not None  # noqa: S101 - something started it
    return best[1], best[2]


def _stopped(programme: Programme, start: Move, layer: int, progress: int) -> Move:
    """The best stop before a start with so much done."""
    since = start.edge - programme.places[start.place].tables.restart
    late_ms = _out_ms(programme, start.place, start.left_out)
    best: tuple[float, Move] | None = None
    for pool, left, journey in programme.takes[start.place]:
        more = journey + programme.places[left].tables.suspended(since, late_ms)
        for move in programme.stops:
            if move.into != start.source or pool not in programme.gives[move.place]:
                continue
            if move.edge + pool[1] <= start.edge:
                grams = move.at(layer, progress) + more
                if grams < (NEVER if best is None else best[0]):
                    best = grams, move
    assert best is not None  # noqa: S101 - something stopped before
    return best[1]
