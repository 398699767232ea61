"""What a region in a Ray cluster is configured with."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator


class RayOptions(BaseModel):
    """`[region.options]` of a Ray cluster, or of the part of one that has a custom resource.

    `address` is the dashboard's. `resource` names what only this region's nodes have (`ray start
    --resources='{"region_eu": 100}'`). `shared`: its machines see the jobs' folders and Tidewatt's state
    under the same names as this host; only then are claims, requests and readings exchanged by files. `meter`
    is a Python there that finds this package, for our own meter beside each job ("": not metered).
    `environment` are names that may be sent although everybody who sees the dashboard can read them.
    `token_file`, mode 0600, has the cluster's token; else RAY_AUTH_TOKEN or ~/.ray/auth_token.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: Annotated[str, Field(pattern=r"^https?://[^\s]+$")] = "http://127.0.0.1:8265"
    resource: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]*$")] = ""
    kinds: dict[str, str] = Field(default_factory=dict)  # GPU kind -> Ray's resource of it
    shared: bool = False
    python: str = "python3"
    meter: str = ""
    environment: tuple[str, ...] = ()
    runtime_env: dict[str, Any] = Field(default_factory=dict)
    token_file: Path | None = None
    timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0

    @field_validator("address")
    @classmethod
    def _plain(cls, value: str) -> str:
        if "@" in value:
            raise ValueError("must not hold a password: give token_file")
        return value.rstrip("/")

    def place(self) -> dict[str, Any]:
        """How to reach it again; no secret."""
        return {
            "address": self.address,
            "resource": self.resource,
            "shared": self.shared,
            "token_file": None if self.token_file is None else str(self.token_file),
            "timeout_s": self.timeout_s,
        }
