"""AWS Batch queues as regions: jobs in containers, checkpoints in object storage."""

from tidewatt.backends.aws_batch.engine import AwsBatchEngine as AwsBatchEngine
