"""Opening a mail runs nobody's script and tells nobody that it was opened: each wall alone, and both.

Every vector is a page of its own inside a frame of ours, many at a time, for the parse of one must not save another.
"""

import json
import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser
from selectolax.lexbor import LexborHTMLParser

from mailsync.mime import document, parse, sanitize
from tests.mime.conftest import Server
from tests.outside import CORPUS, needs_corpus

pytestmark = pytest.mark.browser


FRAMES_AT_ONCE = 110
SETTLE = 500  # milliseconds for what a page does after it has loaded
# Runs in every document before anything of the document itself: whatever a vector calls leaves its mark.
TRAPS = """
for (const name of ['alert', 'prompt', 'confirm', 'print', 'open', 'eval', 'fetch'])
  try { window[name] = () => console.log('SCRIPT RAN ' + location.href) } catch {}
"""
# Vectors of our own, after ways in which sanitisers fell before.
OWN = [
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<style>a[title='</style><img src=x onerror=alert(1)>']{color:red}</style>",
    "<style>p{color:red}</st</style>yle><img src=x onerror=alert(1)>",
    "<a href='java&#10;script:alert(1)' id=x>x</a><img src='java&Tab;script:alert(1)'>",
    "<a href=' &#1;javascript:alert(1)'>x</a><a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<select><template><img src=x onerror=alert(1)></template></select>",
    "<xmp><img src=x onerror=alert(1)></xmp><plaintext><script>alert(1)</script>",
    "<div style='background:\\75\\72\\6c(http://@@HOST@@/own-1)'>x</div>",
    "<div style='background:image-set(\"http://@@HOST@@/own-2\" 1x)'>x</div>",
    "<div style='background:-webkit-image-set(url(http://@@HOST@@/own-3) 1x)'>x</div>",
    "<style>@media screen{p{background:url(http://@@HOST@@/own-4)}}</style><p>x",
    "<style>@supports (color:red){p{background:url(http://@@HOST@@/own-5)}}</style><p>x",
    "<style>:root{--a:url(http://@@HOST@@/own-6)}p{background:var(--a)}</style><p>x",
    "<style>p{background:url(http://@@HOST@@/own-7",
    "<style>p::after{content:url(//@@HOST@@/own-8)}</style><p>x",
    "<img src='//@@HOST@@/own-9'><img src='http:\\\\@@HOST@@\\own-10'><img src='HTTP://@@HOST@@/own-11'>",
    "<img src=x srcset='http://@@HOST@@/own-12 1x' longdesc='http://@@HOST@@/own-13' lowsrc='http://@@HOST@@/own-14'>",
    "<table background='http://@@HOST@@/own-15'><tr background='http://@@HOST@@/own-16'><td>x</table>",
    "<style>@namespace url(http://@@HOST@@/own-17);@import url(http://@@HOST@@/own-18) screen;</style>",
    "<div style='mask:url(http://@@HOST@@/own-19);filter:url(http://@@HOST@@/own-20#f);clip-path:url(//@@HOST@@/own-21)'>x",
    "<div style=\"shape-outside:url('http://@@HOST@@/own-22');float:left\">x</div>",
    "<style>@font-face{font-family:y;src:url(http://@@HOST@@/own-23)}body{font-family:y}</style>x",
    "<style>@property --p{syntax:'<url>';initial-value:url(http://@@HOST@@/own-24);inherits:true}</style>x",
    "<style>@keyframes k{to{background:url(http://@@HOST@@/own-25)}}p{animation:k 1s}</style><p>x",
    "<style>@\\69mport 'http://@@HOST@@/own-26';</style>",
    "<style>/*</style><style>*/@import 'http://@@HOST@@/own-27';</style>",
    "<base href='http://@@HOST@@/own-28/'><img src=own-28.png><a href=x>x</a>",
    "<link rel=stylesheet href='http://@@HOST@@/own-29'><meta http-equiv=refresh content='0;http://@@HOST@@/own-30'>",
    "<img src='cid:http://@@HOST@@/own-31'><img src='data:image/svg+xml,<svg onload=alert(1)>'>",
]  # fmt: skip
ALLOWED = {"" if tag == "*" else tag: names for tag, names in sanitize._ATTRIBUTES.items()}
CONTROL = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<img src='http://@@HOST@@/control'>",
]


def vectors() -> dict[str, str]:
    found = {f"own-{number}": text for number, text in enumerate(OWN)}
    for path in sorted((CORPUS / "vectors").glob("*.jsonl")):
        if path.stem != "injection":
            for line in path.read_text("utf-8").splitlines():
                vector = json.loads(line)
                found[vector["id"]] = html_of(vector)
    return found


def html_of(vector: dict[str, str]) -> str:
    if vector["kind"] != "mail-leak":
        return vector["input"]
    shown = parse.read(*parse.split(vector["input"].encode()))
    return shown.html or f"<pre>{shown.text}</pre>"


def cleaned(source: str) -> str:
    return sanitize.clean(source, inline_url=lambda _: None, image_url=None).html


Wall = tuple[Callable[[str], str], dict[str, str]]
WALLS: dict[str, Wall] = {
    "the sanitiser alone": (lambda source: document.document(cleaned(source)), {}),
    "the policy alone": (lambda source: source, document.headers()),
    "both": (lambda source: document.document(cleaned(source)), document.headers()),
}
NO_WALL: Wall = (lambda source: source, {})


def batches(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), FRAMES_AT_ONCE):
        yield names[start : start + FRAMES_AT_ONCE]


class Witness:
    """Opens mails in Chromium and knows which of them ran a script or asked a foreign server."""

    def __init__(self, browser: Browser, ours: Server, foreign: Server) -> None:
        self.browser, self.ours, self.foreign = browser, ours, foreign

    def open(self, sources: dict[str, str], wall) -> tuple[set[str], set[str]]:
        """The names of the vectors that ran a script, and the paths that the foreign server was asked for."""
        render, headers = wall
        ran: set[str] = set()
        self.foreign.asked.clear()
        context = self.browser.new_context()
        context.add_init_script(TRAPS)
        try:
            for names in batches(list(sources)):
                for name in names:
                    source = sources[name].replace("@@HOST@@", self.foreign.address)
                    self.ours.pages[f"/{name}"] = (render(source), headers)
                ran |= self._open_all(context, names)
        finally:
            context.close()
        return ran, set(self.foreign.asked)

    def _open_all(self, context, names: list[str]) -> set[str]:
        """A busy machine drops a frame now and then; none may go untried."""
        ran: set[str] = set()
        missing, rounds = names, 0
        while missing and rounds < 4:
            ran |= self._open_page(context, missing)
            missing, rounds = [name for name in missing if f"/{name}" not in self.ours.asked], rounds + 1
        assert missing == []
        return ran

    def _open_page(self, context, names: list[str]) -> set[str]:
        ran: set[str] = set()
        frames = "".join(f'<iframe src="/{name}"></iframe>' for name in names)
        self.ours.pages["/frames"] = (f"<!doctype html><title>frames</title>{frames}", {})
        page = context.new_page()
        page.on("console", lambda message: ran.add(message.text) if "SCRIPT RAN" in message.text else None)
        page.on("popup", lambda popup: popup.close())
        self.ours.asked.clear()
        page.goto(f"http://{self.ours.address}/frames", wait_until="load")
        page.wait_for_timeout(SETTLE)
        page.close()
        return ran


@pytest.fixture(scope="module")
def witness(browser: Browser, serve) -> Witness:
    return Witness(browser, serve(), serve())


def test_the_witness_sees_what_no_wall_holds_back(witness):
    """Without this, the tests below would pass with a blind witness."""
    ran, asked = witness.open({f"control-{n}": text for n, text in enumerate(CONTROL)}, NO_WALL)
    assert len(ran) == 2
    assert asked == {"/control"}


@needs_corpus
def test_the_vectors_are_sharp(witness):
    """Many of them work in this Chromium when nothing stops them."""
    sample = {name: text for name, text in vectors().items() if name.startswith(("leaks", "own"))}
    ran, asked = witness.open(sample, NO_WALL)
    assert len(asked) > 30
    assert ran


@pytest.mark.parametrize(
    "wall",
    [
        WALLS["the sanitiser alone"],
        WALLS["the policy alone"],
        # What each of them holds, both hold.
        pytest.param(WALLS["both"], marks=pytest.mark.slow),
    ],
    ids=WALLS,
)
def test_no_mail_runs_a_script_or_asks_a_foreign_server(witness, wall):
    ran, asked = witness.open(vectors(), wall)
    assert ran == set()
    assert asked == set()


@pytest.mark.parametrize(("name", "source"), vectors().items(), ids=vectors())
def test_only_what_the_list_names_comes_through(name, source):
    """Also what no browser does by itself, and what needs a click."""
    tree = LexborHTMLParser(cleaned(source.replace("@@HOST@@", "foreign.example")))
    assert tree.body is not None
    for node in tree.body.traverse(include_text=False):
        assert node.tag in sanitize._TAGS | {"body", "style"}
        for attribute, value in node.attributes.items():
            assert attribute in ALLOWED[""] | ALLOWED.get(node.tag, set()) | {"target", "rel"}
            assert attribute not in ("href", "src") or re.match(
                r"(https?://|mailto:|data:image/\w+;base64,)", value or ""
            )


def test_images_of_ours_are_shown_inside_the_sandbox(witness):
    """'self' in the policy of a document with an opaque origin: some browsers once read it as nobody."""
    witness.ours.pages["/pixel.svg"] = (
        "<svg xmlns='http://www.w3.org/2000/svg' width='7' height='5'></svg>",
        {"Content-Type": "image/svg+xml"},
    )
    mail = sanitize.clean(
        '<p>hello <img src="cid:pixel" alt="pixel"></p>', inline_url=lambda _: "/pixel.svg", image_url=None
    )
    witness.ours.pages["/mail"] = (document.document(mail.html), document.headers())
    witness.ours.pages["/reader"] = ('<!doctype html><title>r</title><iframe src="/mail"></iframe>', {})
    page = witness.browser.new_page()
    try:
        page.goto(f"http://{witness.ours.address}/reader", wait_until="load")
        image = page.frames[1].locator("img")
        assert image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [7, 5]
    finally:
        page.close()


def test_a_newsletter_still_looks_like_one(witness):
    source = (
        "<html><head><style>.card { width: 300px; background: #102030 } @media (max-width: 4000px) {"
        " .card { padding-left: 11px !important } }</style></head><body bgcolor='#eeeeee' style='margin: 3px'>"
        "<table width='500' bgcolor='#ffffff' cellpadding='0'><tr><td class='card' align='center'"
        " style='color: #abcdef; font-family: Georgia, serif; background-image: url(http://x.example/y)'>"
        "<img src='http://x.example/a.png' width='120' height='40' alt='Sale'></td></tr></table></body></html>"
    )
    mail = sanitize.clean(source, inline_url=lambda _: None, image_url=None)
    assert mail.blocked == 1
    witness.ours.pages["/letter"] = (document.document(mail.html), document.headers())
    page = witness.browser.new_page()
    try:
        page.goto(f"http://{witness.ours.address}/letter")
        styles = page.locator("td.card").evaluate(
            "cell => { const s = getComputedStyle(cell); return [s.width, s.backgroundColor, s.paddingLeft, s.color,"
            " s.fontFamily, s.textAlign, s.backgroundImage] }"
        )
        assert styles[1:] == [
            "rgb(16, 32, 48)", "11px", "rgb(171, 205, 239)", "Georgia, serif", "-webkit-center", "none",
        ]  # fmt: skip
        assert page.locator("table").evaluate("table => table.offsetWidth") == 500
        box = page.locator("img").bounding_box()
        assert box is not None
        assert (box["width"], box["height"]) == (120, 40)
        outer = page.locator("body > div").evaluate("div => getComputedStyle(div).backgroundColor")
        assert outer == "rgb(238, 238, 238)"
    finally:
        page.close()
