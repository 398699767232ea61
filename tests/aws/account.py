"""An account of AWS on loopback, with a queue in each of two regions and a bucket."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

ENGINES = Path(__file__).resolve().parents[2] / ".engines" / "bin" / "python"
REGIONS = {"north": "eu-north-1", "east": "us-east-1"}
BUCKET = "tidewatt-checkpoints"
VARIABLES = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class Account:
    """The server and what it was given."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="twaws-")))
    process: subprocess.Popen[bytes] | None = None
    url: str = ""

    def up(self) -> "Account":
        """Starts the server; makes queues and bucket."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        server = Path(__file__).with_name("executing.py")
        values = {"PATH": os.environ["PATH"], "CONTAINERS": str(self.folder), "AWS_ENDPOINT_URL": self.url}
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [str(ENGINES), str(server), str(port)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**values, **VARIABLES}, start_new_session=True,
            )  # fmt: skip
        self._await(port)
        for region in REGIONS.values():
            self._queue(region)
        self.client("s3", "us-east-1").create_bucket(Bucket=BUCKET)
        return self

    def down(self) -> None:
        """Ends the server."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self, service: str, region: str) -> Any:
        """A client of the account."""
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        return boto3.client(service, region_name=region, endpoint_url=self.url, **keys)

    def _await(self, port: int) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, (self.folder / "server.log").read_text()
                time.sleep(0.05)

    def _queue(self, region: str) -> None:
        """One queue of an environment that may grow to 16 vCPUs, as the console would make it."""
        ec2, iam, batch = (self.client(name, region) for name in ("ec2", "iam", "batch"))
        network = ec2.create_vpc(CidrBlock="172.30.0.0/24")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=network, CidrBlock="172.30.0.0/25")["Subnet"]["SubnetId"]
        group = ec2.create_security_group(GroupName="batch", Description="batch", VpcId=network)["GroupId"]
        role = iam.create_role(RoleName=f"batch-{region}", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        iam.create_instance_profile(InstanceProfileName=f"batch-{region}")
        iam.add_role_to_instance_profile(InstanceProfileName=f"batch-{region}", RoleName=f"batch-{region}")
        profile = iam.get_instance_profile(InstanceProfileName=f"batch-{region}")["InstanceProfile"]["Arn"]
        environment = batch.create_compute_environment(
            computeEnvironmentName="spot", type="MANAGED", state="ENABLED", serviceRole=role,
            computeResources={
                "type": "SPOT", "minvCpus": 0, "maxvCpus": 16, "desiredvCpus": 0,
                "instanceTypes": ["m6i.xlarge"], "subnets": [subnet], "securityGroupIds": [group],
                "instanceRole": profile,
            },
        )["computeEnvironmentArn"]  # fmt: skip
        order = [{"order": 1, "computeEnvironment": environment}]
        batch.create_job_queue(
            jobQueueName="train", state="ENABLED", priority=1, computeEnvironmentOrder=order
        )
