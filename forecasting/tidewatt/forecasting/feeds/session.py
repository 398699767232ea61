"""The session of the HTTP library as feeds use it: no logins of its own, no query strings in logs."""

import logging

import requests
from requests.auth import AuthBase

from tidewatt.forecasting.feeds.deadline import DeadlineAdapter


def own_session() -> requests.Session:
    """A session that tries once, and whose connections a deadline can cut."""
    session = requests.Session()
    session.headers["User-Agent"] = "tidewatt"
    for scheme in ("https://", "http://"):
        session.mount(scheme, DeadlineAdapter(max_retries=0))
    return session


class NoLogin(AuthBase):
    """No login at all: neither that of the user's .netrc nor that of an address."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class WithoutQuery(logging.Filter):
    """Takes query strings out of what the HTTP library logs: keys stand in them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record pass, without queries."""
        if isinstance(record.args, tuple):
            record.args = tuple(a.partition("?")[0] if isinstance(a, str) else a for a in record.args)
        return True


for _name in ("connection", "connectionpool", "poolmanager", "response", "util.retry"):
    logging.getLogger(f"urllib3.{_name}").addFilter(WithoutQuery())
