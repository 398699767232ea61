"""Drives the page in a real browser; run by the interpreter that has Playwright, told what to do in JSON.

It prints one JSON object: what was seen. Nothing here decides whether that is right: the tests do.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Route, sync_playwright

CHROMIUM = "/usr/bin/chromium"
OPTIONS = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE_MS = 45_000


class Drive:
    """One signed-in page, and what was noticed on the way."""

    def __init__(
        self, browser: Browser, base: str, token: str, width: int, theme: Any, patience_ms: int
    ) -> None:
        self.base, self.strayed, self.complaints = base, [], []  # type: ignore[var-annotated]
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        context.route("**/*", self._gate)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", lambda said: self._said(said.type, said.text))
        self.page.on("pageerror", lambda error: self._said("error", str(error)))
        if "#" in token:  # a link for once
            self.page.goto(token)
            self.page.wait_for_url(f"{base}/", timeout=patience_ms)
            return
        self.page.goto(f"{base}/jobs")
        self.page.fill("#token", token)
        self.page.click("button.primary")
        self.page.wait_for_url(f"{base}/jobs")

    def _gate(self, route: Route) -> None:
        address = urlsplit(route.request.url)
        if address.scheme not in ("http", "data") or (
            address.scheme == "http" and address.hostname != "127.0.0.1"
        ):
            self.strayed.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def goto(self, path: str) -> None:
        """Opens a screen, its charts drawn."""
        self.page.goto(self.base + path)
        for chart in self.page.query_selector_all("[data-chart]"):
            chart.wait_for_selector("xpath=self::*[contains(@class, 'drawn')]")


def story(drive: Drive, wanted: dict[str, Any]) -> dict[str, Any]:
    """Submit, watch it run, cancel, edit a rule, read the savings."""
    page, seen = drive.page, {}
    drive.goto("/submit")
    page.fill("#command", wanted["command"])
    page.fill("#duration", "3")
    page.wait_for_selector("#error-duration:not(:empty)")
    seen["mistake"] = page.inner_text("#error-duration")
    page.fill("#folder", wanted["folder"])
    page.fill("#duration", "1h")
    page.wait_for_selector("#preview .figure time")
    seen["preview"] = page.inner_text("#preview")
    page.fill("#name", "driven")
    page.fill("#finish_by", "")
    page.click("#job-form button.primary")
    page.wait_for_url("**/jobs/*")
    seen["job"] = page.url.rsplit("/", 1)[1]
    page.wait_for_selector(".state.running")  # without a deadline it does not wait for cleaner hours
    page.wait_for_selector("#log pre")
    first = page.inner_text("#log pre")
    grown = "least => document.querySelector('#log pre')?.textContent.length > least"
    page.wait_for_function(grown, arg=len(first))
    seen["log"] = page.inner_text("#log pre")
    page.wait_for_selector("#power-chart.drawn canvas", timeout=PATIENCE_MS)
    seen["power"] = page.inner_text("#live .figure")
    page.click("#sure summary")
    page.click("#sure button")
    page.wait_for_selector(".state.cancelled")
    seen["state"] = page.inner_text("#live .state")
    drive.goto("/regions")
    page.click("text=Edit")
    page.fill("#text", wanted["rule"])
    page.click("text=Check")
    page.wait_for_selector("#would-title")
    seen["checked"] = page.inner_text("[aria-labelledby=would-title]")
    page.click("text=Put in force")
    page.wait_for_url("**/regions")
    seen["rules"] = page.inner_text("pre.log")
    page.goto(f"{drive.base}/savings?since=all")
    page.wait_for_selector("ul.figures")
    seen["savings"] = page.inner_text("main")
    page.click("text=Sign out")
    page.wait_for_url("**/login*")
    seen["signed_out"] = page.inner_text("h1")
    return seen


def accessible(drive: Drive, screens: list[str]) -> list[str]:
    """Serious and critical violations by axe-core, and screens that are wider than the window."""
    from axe_playwright_python.sync_playwright import Axe

    axe, found = Axe(), []
    for path in screens:
        drive.goto(path)
        answer = axe.run(drive.page)
        if len(answer.response["passes"]) < 10:
            found.append(f"{path}: axe looked at next to nothing")
        found += [
            f"{path}: {each['id']} ({each['impact']}): {each['nodes'][0]['html'][:200]}"
            for each in answer.response["violations"]
            if each["impact"] in ("serious", "critical")
        ]
        if drive.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{path}: wider than the window")
    return found


def shots(drive: Drive, wanted: dict[str, Any]) -> list[str]:
    """Writes pictures of screens; returns their names."""
    made = []
    for name, path in wanted["screens"].items():
        drive.goto(path)
        into = Path(wanted["into"]) / f"{name}.png"
        drive.page.screenshot(path=into, full_page=wanted.get("full", False))
        made.append(into.name)
    return made


def main() -> None:
    """Does what stdin says."""
    wanted = json.load(sys.stdin)
    seen: dict[str, Any] = {"strayed": [], "complaints": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        tasks: dict[str, Callable[[Drive], Any]] = {
            "story": lambda drive: story(drive, wanted),
            "accessible": lambda drive: accessible(drive, wanted["screens"]),
            "shots": lambda drive: shots(drive, wanted),
        }
        for theme in wanted.get("themes", ["light"]):
            for width in wanted.get("widths", [1280]):
                drive = Drive(
                    browser,
                    wanted["base"],
                    wanted["token"],
                    width,
                    theme,
                    wanted.get("patience_ms", PATIENCE_MS),
                )
                seen[f"{theme} {width}"] = tasks[wanted["task"]](drive)
                seen["strayed"] += drive.strayed
                seen["complaints"] += drive.complaints
                drive.page.context.close()
        browser.close()
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
