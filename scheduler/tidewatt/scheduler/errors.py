"""What goes wrong in the scheduler, and the exit code that the command line gives it."""


class SchedulerError(Exception):
    """Something could not be done; the text says what, to what, and what to do next."""

    exit_code = 1


class Refused(SchedulerError):
    """The request is sound but cannot be granted now (the deadline cannot be met, the job has already ended)."""

    exit_code = 1


class BadInput(SchedulerError):
    """The request itself is wrong and has to be changed."""

    exit_code = 2
