"""Clients of AWS's services that never send a request twice by themselves."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from tidewatt.backends.backend import BackendError
from tidewatt.backends.desk import NotTakenError

T = TypeVar("T")
_THROTTLED = ("TooManyRequestsException", "ThrottlingException", "Throttling", "RequestLimitExceeded")


def client(service: str, place: Mapping[str, Any]) -> Any:
    """The client of a service in the place's region; one for all threads."""
    words = (str(place.get(name) or "") for name in ("region", "profile", "endpoint_url"))
    return _made(service, *words, float(place.get("timeout_s", 10.0)))


@cache  # making one costs a twentieth of a second
def _made(service: str, region: str, profile: str, url: str, timeout_s: float) -> Any:
    """A client that asks once.

    botocore sends what got no answer again, up to five times, which would make two jobs of one: retries are
    off, and whoever asks looks first.
    """
    import boto3  # only here: it costs a tenth of a second, and most daemons have no region in AWS
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(retries={"total_max_attempts": 1}, connect_timeout=timeout_s, read_timeout=timeout_s)
    try:
        session = boto3.Session(profile_name=profile or None, region_name=region)
        return session.client(service, endpoint_url=url or None, config=config)
    except BotoCoreError as error:
        raise NotTakenError(f"AWS cannot be asked: {error}") from error


def asked(what: str, call: Callable[[], T]) -> T:
    """What the call answers.

    Raises:
        NotTakenError: AWS refused it, or was never reached: nothing has happened.
        BackendError: No answer came: it is open whether something has happened.
    """
    from botocore import exceptions

    try:
        return call()
    except exceptions.ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        said = f"AWS could not {what}: {error}"
        if status >= 500:
            raise BackendError(said, transient=True) from error
        raise NotTakenError(said, transient=status == 429 or code in _THROTTLED) from error
    except (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError) as error:
        raise NotTakenError(f"AWS cannot be reached to {what}: {error}", transient=True) from error
    except (exceptions.NoCredentialsError, exceptions.ParamValidationError) as error:
        raise NotTakenError(f"AWS cannot be asked to {what}: {error}") from error
    except (exceptions.BotoCoreError, OSError) as error:
        raise BackendError(f"AWS gave no answer when asked to {what}: {error}", transient=True) from error
