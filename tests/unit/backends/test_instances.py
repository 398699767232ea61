"""The modelled power of cloud instances: bounds, shares, and what is not known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewatt.backends import instances
from tidewatt.backends.meters.reading import How

KNOWN = (
    "m5.xlarge",
    "m6i.4xlarge",
    "c7a.48xlarge",
    "g4dn.12xlarge",
    "g5.xlarge",
    "p3.16xlarge",
    "p4d.24xlarge",
)


@pytest.mark.parametrize(
    ("name", "vcpus", "gpus"),
    [("m6i.xlarge", 4, 0), ("g4dn.12xlarge", 48, 4), ("g5.48xlarge", 192, 8), ("p4d.24xlarge", 96, 8)],
)
def test_type_is_known_by_family_and_size(name: str, vcpus: int, gpus: int) -> None:
    found = instances.instance(name)
    assert found is not None
    assert (found.vcpus, found.gpus) == (vcpus, gpus)


@pytest.mark.parametrize("name", ["", "m6i", "x9z.large", "m6i.huge", "t3.micro"])
def test_type_without_a_published_power_draws_nothing_that_is_known(name: str) -> None:
    assert instances.draws(name, 2) == ()


@given(st.sampled_from(KNOWN), st.integers(1, 16), st.integers(0, 65536))
def test_draw_lies_between_its_bounds_and_grows_with_the_share(name: str, vcpus: int, mem_mb: int) -> None:
    parts = instances.draws(name, vcpus, 0, mem_mb)
    for part in parts:
        assert 0 < part.low_w <= part.power_w <= part.high_w
        assert part.device.how is How.MODELLED
        assert part.device.source.startswith("modelled, ")
    more = instances.draws(name, vcpus + 1, 0, mem_mb)
    assert sum(part.power_w for part in more) > sum(part.power_w for part in parts)


def test_whole_gpus_are_charged_and_never_more_than_the_instance_has() -> None:
    [_, gpu] = instances.draws("g4dn.12xlarge", 8, 2)
    assert (gpu.device.component, gpu.low_w, gpu.high_w) == ("gpu", 16.0, 142.0)
    with pytest.raises(ValueError, match="has 4 GPUs, not 5"):
        instances.draws("g4dn.12xlarge", 8, 5)
