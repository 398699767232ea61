"""What a region in AWS Batch is configured with."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class AwsBatchOptions(BaseModel):
    """`[region.options]` of a job queue of AWS Batch.

    Jobs run by `job_definition`, or by one that is registered from `image` and its roles; the image needs a
    `python` and boto3. Below `checkpoint_uri` the attempts' claims and checkpoints lie; it is
    needed, as Batch may show a job late, and only the claim then keeps two copies from running. A running job
    looks there for a request to pause every `look_s`. `instance_type` is the one that the queue's compute
    environment starts, which tells its power and GPUs; `spot` says that it starts spot instances. `vcpus` and
    `memory_mb` are what a job without a wish of its own gets. `environment` are names that may be sent,
    although everybody who may describe jobs can read them. Credentials are found as AWS's own tools do, of
    `profile` where one is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d+$")]
    job_queue: Annotated[str, Field(min_length=1)]
    job_definition: str = ""
    image: str = ""
    job_role: str = ""
    execution_role: str = ""
    instance_type: str = ""
    spot: bool = False
    vcpus: Annotated[int, Field(ge=1)] | None = None
    memory_mb: Annotated[int, Field(ge=4)] = 2048
    checkpoint_uri: Annotated[str, Field(pattern=r"^(s3://[a-z0-9.-]{3,63}(/[A-Za-z0-9._/=-]*)?)?$")] = ""
    look_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    python: str = "python3"
    log_group: str = "/aws/batch/job"
    environment: tuple[str, ...] = ()
    profile: str = ""
    endpoint_url: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0

    @model_validator(mode="after")
    def _one_definition(self) -> "AwsBatchOptions":
        if bool(self.job_definition) == bool(self.image):
            raise ValueError("needs a job_definition or an image, and not both")
        return self

    @model_validator(mode="after")
    def _place_for_claims(self) -> "AwsBatchOptions":
        if not self.checkpoint_uri:
            raise ValueError(
                "needs a place in S3 for the claims and checkpoints of its jobs, without which two copies of"
                ' one could run: checkpoint_uri = "s3://BUCKET/PREFIX"'
            )
        return self

    def place(self) -> dict[str, Any]:
        """How to reach it again; no secret."""
        names = ("region", "job_queue", "profile", "endpoint_url", "log_group", "timeout_s", "instance_type")
        return {name: getattr(self, name) for name in names}
