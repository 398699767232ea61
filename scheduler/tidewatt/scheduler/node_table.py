"""The meter of the whole node as the configuration tells it."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from tidewatt.backends.backend import BackendError
from tidewatt.scheduler.account_tables import Table

if TYPE_CHECKING:
    from tidewatt.backends.meters.node_source import NodeSource


class NodeTable(Table):
    """The meter of the whole node, `[node]`: a ready-made `form`, or a command or URL of one's own."""

    form: Literal["", "ipmi-dcmi", "redfish"] = ""
    name: str | None = None
    command: Annotated[tuple[str, ...], Field(strict=False)] | None = None
    url: str | None = None
    pattern: str | None = None
    pointer: str | None = None
    unit: str | None = None
    interval_s: Annotated[float, Field(ge=1, le=3600, strict=False)] | None = None
    timeout_s: Annotated[float, Field(gt=0, le=60, strict=False)] | None = None
    user: str | None = None
    password_file: str | None = None
    ca_file: str | None = None

    @model_validator(mode="after")
    def _can_be_read(self) -> "NodeTable":
        try:
            self.source()
        except BackendError as error:
            raise ValueError(str(error)) from None
        return self

    def source(self) -> "NodeSource":
        """What the host's meter is told of it."""
        from tidewatt.backends.meters.node_source import node_source

        return node_source(**self.model_dump(exclude_none=True))
