"""What a request asks for, as the planner takes it: with what is known of the host and of earlier runs."""

from dataclasses import replace
from datetime import datetime

from tidewatt.scheduler.daemon.callers import user_name
from tidewatt.scheduler.daemon.experience import mean_power_w, with_experience
from tidewatt.scheduler.daemon.predecessors import predecessors
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask
from tidewatt.scheduler.planning.estimate import Estimate
from tidewatt.scheduler.planning.learnt import Learnt
from tidewatt.scheduler.planning.preview import ask_of
from tidewatt.scheduler.planning.speeds import Speeds
from tidewatt.scheduler.request_schema import PlanRequest, SubmitRequest
from tidewatt.scheduler.store import Store


def draft(site: Site, store: Store, request: PlanRequest, now: datetime, learnt: Learnt | None = None) -> Ask:
    """What is asked, by a job that has no number yet; `learnt` is what earlier runs say of it.

    Raises:
        BadInput: where a job that it names does not exist.
        Refused: where a job that has to be done before never will be.
    """
    done, ended = predecessors(request, store)
    name, project = (request.name, request.project) if isinstance(request, SubmitRequest) else ("", "")
    need = Need(request.gpus, request.gpu_kind, request.cpus, request.mem_mb)
    draw = _power(site, store, need, request, name, learnt)
    ask = ask_of(request, 0, now, site.home.name, draw, site.settings.default_duration)
    after = tuple(sorted(store.not_ended((*done, *ended))))
    ask = replace(ask, after=after, user=user_name(), project=project)
    return with_experience(ask, learnt, now, Speeds(site.regions).fastest(ask))


def _power(
    site: Site, store: Store, need: Need, request: PlanRequest, name: str, learnt: Learnt | None
) -> Estimate:
    """The draw of earlier runs, or of the last of that name, as measured; else what the hardware suggests."""
    liked = replace(need, gpu_kind=request.kinds[0].kind) if request.kinds else need
    if learnt is not None and learnt.power_w is not None:
        return site.power(liked, learnt.power_w, _runs(learnt.power_runs))
    earlier = store.last_measured(user_name(), name) if name else None
    if earlier is None or earlier.settlement is None or earlier.need != need:
        return site.power(liked)
    ran = [each for each in store.attempts([earlier.id])[earlier.id] if each.started_ms and each.ended_ms]
    watts = mean_power_w(earlier, ran)
    if watts is None:
        return site.power(liked)
    return site.power(liked, watts, f"job {earlier.key}, {earlier.name}")


def _runs(count: int) -> str:
    return f"mean of {count} earlier runs" if count != 1 else "an earlier run"
