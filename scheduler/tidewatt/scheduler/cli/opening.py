"""`open`: a link that signs in at the page once."""

from typing import Annotated

import typer

from tidewatt.scheduler.cli import options as given
from tidewatt.scheduler.cli.session import daemon
from tidewatt.scheduler.cli.text import say, say_json, tell
from tidewatt.scheduler.errors import Refused


def open_page(
    browser: Annotated[bool, typer.Option("--browser", help="Open it in a browser here, too.")] = False,
    as_json: given.AsJson = False,
) -> None:
    """Print a link that signs you in at the daemon's page, once and within a minute.

    The code in it stands behind the #, which browsers send to nobody.
    """
    client = daemon()
    listen = str(client.status()["listen"])
    if not listen:
        raise Refused("this daemon has no page: `tidewatt up --listen 127.0.0.1:8421` starts one that has")
    found = client.login_code()
    scheme = "" if "://" in listen else "http://"
    link = f"{scheme}{listen}/login#code={found['code']}"
    if as_json:
        say_json({"url": link, "within_s": found["within_s"]})
    else:
        say(link)
        tell(f"it signs in once, within {found['within_s']:g} s")
    if browser:
        import webbrowser

        if not webbrowser.open(link):
            raise Refused("no browser could be opened here: open the link yourself")
