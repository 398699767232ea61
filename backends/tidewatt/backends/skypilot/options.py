"""What a region behind SkyPilot is configured with."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class SkyPilotOptions(BaseModel):
    """`[region.options]` of a place that SkyPilot reaches.

    `infra` fixes the place ("aws/eu-north-1", "gcp/europe-north1", "slurm/eu"), so that SkyPilot's own
    optimiser never moves a job out of the region that was planned. `kinds` name GPUs as SkyPilot does.
    `workdir` sends the job's folder along. A cluster that nobody asks after any more ends by itself after
    `idle_minutes`. `api_server` is told for people; SkyPilot finds it by its own settings. `environment` are
    names that are sent along. `instance_type` tells the power of an AWS type, and asks for that type.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    infra: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[A-Za-z0-9._*-]+(/[A-Za-z0-9._-]+)?$")]
    spot: bool = False
    instance_type: str = ""
    kinds: dict[str, str] = Field(default_factory=dict)
    workdir: bool = True
    python: str = "python3"
    setup: str = ""
    idle_minutes: Annotated[int, Field(ge=1, le=1440)] = 60
    environment: tuple[str, ...] = ()
    api_server: str = ""
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 60.0

    def place(self) -> dict[str, Any]:
        """How to reach it again; clusters are found by their names alone."""
        return {
            "infra": self.infra, "api_server": self.api_server, "timeout_s": self.timeout_s,
            "instance_type": self.instance_type, "spot": self.spot,
        }  # fmt: skip
