"""What goes wrong in the scheduler, and the exit code that the command line gives it."""


class SchedulerError(Exception):
    """Something could not be done; the text says what, to what, and what to do next."""

    exit_code = 1


class Refused(SchedulerError):  # noqa: N818 - named as the exit code is
    """The request is sound but cannot be granted now: its deadline cannot be met, its job has ended."""

    exit_code = 1


class BadInput(SchedulerError):  # noqa: N818 - named as the exit code is
    """The request itself is wrong and has to be changed."""

    exit_code = 2
