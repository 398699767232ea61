"""What a request asks for, as the planner takes it: with what is known of the host and of earlier runs."""

from dataclasses import replace
from datetime import datetime

from tidewatt.scheduler.accounting.receipt import Settlement
from tidewatt.scheduler.daemon.intake import user_name
from tidewatt.scheduler.daemon.predecessors import predecessors
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask
from tidewatt.scheduler.planning.estimate import Estimate
from tidewatt.scheduler.planning.preview import ask_of
from tidewatt.scheduler.schemas import PlanRequest, SubmitRequest
from tidewatt.scheduler.store import Store


def draft(site: Site, store: Store, request: PlanRequest, now: datetime) -> Ask:
    """What is asked, by a job that has no number yet.

    Raises:
        BadInput: where a job that it names does not exist.
        Refused: where a job that has to be done before never will be.
    """
    done, ended = predecessors(request, store)
    name, project = (request.name, request.project) if isinstance(request, SubmitRequest) else ("", "")
    need = Need(request.gpus, request.gpu_kind, request.cpus, request.mem_mb)
    draw = _power(site, store, need, request, name)
    ask = ask_of(request, 0, now, site.home.name, draw, site.settings.default_duration)
    after = tuple(sorted(store.not_ended((*done, *ended))))
    return replace(ask, after=after, user=user_name(), project=project)


def _power(site: Site, store: Store, need: Need, request: PlanRequest, name: str) -> Estimate:
    """The draw of the last run of that name, where it was measured, else what the hardware suggests."""
    liked = replace(need, gpu_kind=request.kinds[0].kind) if request.kinds else need
    earlier = store.last_measured(user_name(), name) if name else None
    if earlier is None or earlier.settlement is None or earlier.need != need:
        return site.power(liked)
    active = [part.active_uj for part in Settlement.restored(earlier.settlement).components]
    ran = [each for each in store.attempts([earlier.id])[earlier.id] if each.started_ms and each.ended_ms]
    ran_ms = sum((each.ended_ms or 0) - (each.started_ms or 0) for each in ran)
    if not ran_ms or not active or None in active:
        return site.power(liked)
    watts = sum(each or 0 for each in active) / 1000 / ran_ms
    return site.power(liked, watts, f"job {earlier.key}, {earlier.name}")
