"""What each page must pass as a person sees it; and pictures of it, for people who want to look themselves."""

import os
from pathlib import Path
from typing import Literal

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

# A folder for screenshots.
SHOTS = os.environ.get("MAILBOUND_SHOTS", "")
# Only what keeps people out leaves the page, and nothing is fetched for rules about films and style sheets: axe's
# whole report takes several times as long as its work.
_SERIOUS = """
axe.run({resultTypes: ["violations"], preload: false}).then(found => found.violations
    .filter(each => ["serious", "critical"].includes(each.impact))
    .map(each => [each.id, each.nodes[0].html, each.nodes[0].failureSummary]))
"""


def look(page: Page, name: str) -> None:
    """
    axe finds nothing serious and nothing is cut off, wide and light, narrow and dark; pictures if asked for.

    Whoever followed a link or sent a form expects something of the new page first: it is the old one that is looked at
    else, or one that is taken away under axe.
    """
    looks: list[tuple[Literal["light", "dark"], int]] = [("light", 1440), ("dark", 390)]
    for scheme, width in looks:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 900})
        # A colour in transition from one scheme to the other has neither's contrast.
        page.evaluate("Promise.all(document.getAnimations().map(each => each.finished.catch(() => 0)))")
        assert_passable(page, f"{name} at {width}")
    if SHOTS:
        take_pictures(page, name)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1440, "height": 900})


def assert_passable(page: Page, name: str) -> None:
    """As the page stands: nothing serious for axe, nothing beyond the edge."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate(_SERIOUS)
    assert not found, (name, found)
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), name


def take_pictures(page: Page, name: str) -> None:
    schemes: list[Literal["light", "dark"]] = ["light", "dark"]
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 900})
            height = page.evaluate("(document.querySelector('.page-body')?.scrollHeight ?? 820) + 80")
            page.set_viewport_size({"width": width, "height": max(900, height)})
            page.screenshot(path=Path(SHOTS) / f"{name}-{scheme}-{width}.png")
