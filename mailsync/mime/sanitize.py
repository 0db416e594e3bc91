"""HTML of strangers, cleaned by an allow-list: what is not named here does not come through.

The result is meant for the body of mime.document, under its policy. Either wall alone (this one, or that policy)
keeps scripts from running and foreign servers from being asked; tests/mime/test_walls.py tries both.
"""

import base64
import html
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

import nh3
from selectolax.lexbor import LexborHTMLParser

from mailsync.mime import css, text

_TAG_NAMES = """
    a abbr acronym address article aside b bdi bdo big blockquote br caption center cite code col colgroup dd del
    details dfn dir div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark
    nav ol p pre q rp rt ruby s samp section small span strike strong sub summary sup table tbody td tfoot th thead
    time tr tt u ul var wbr
"""
# Elements whose content is not text of the mail.
_SILENT_NAMES = """
    applet audio canvas embed frameset iframe math noembed noframes object script select style svg template textarea
    title video
"""
_ATTRIBUTES = {
    "*": {"align", "class", "dir", "id", "lang", "style", "title"},
    "a": {"href"},
    "bdo": {"dir"},
    "br": {"clear"},
    "col": {"span", "width", "valign"},
    "colgroup": {"span", "width", "valign"},
    "details": {"open"},
    "font": {"color", "face", "size"},
    "hr": {"color", "noshade", "size", "width"},
    "img": {"src", "alt", "width", "height", "border", "hspace", "vspace"},
    "li": {"type", "value"},
    "ol": {"reversed", "start", "type"},
    "table": {
        "bgcolor",
        "border",
        "bordercolor",
        "cellpadding",
        "cellspacing",
        "frame",
        "height",
        "rules",
        "width",
    },
    "tbody": {"bgcolor", "valign"},
    "td": {"bgcolor", "bordercolor", "colspan", "height", "nowrap", "rowspan", "valign", "width"},
    "tfoot": {"bgcolor", "valign"},
    "th": {"bgcolor", "bordercolor", "colspan", "height", "nowrap", "rowspan", "scope", "valign", "width"},
    "thead": {"bgcolor", "valign"},
    "time": {"datetime"},
    "tr": {"bgcolor", "height", "valign"},
    "ul": {"type"},
}
_TAGS = set(_TAG_NAMES.split())
_SILENT = set(_SILENT_NAMES.split())

MAX_SOURCE = 3_000_000
_MAX_DATA_IMAGE = 2_000_000
_MAX_DEPTH = 1000  # Chromium itself flattens what is deeper than 512
_MAX_WORK = 2_000_000
_MAX_TAGS = 100_000
_HARMLESS_TAGS = 1000
_HARMLESS_SEPARATORS = 30_000

# What a blocked image shows: one transparent pixel, stretched to the width and height of the image.
PLACEHOLDER = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
PLACEHOLDER_BYTES = base64.b64decode(PLACEHOLDER.partition(",")[2])
_IGNORED_IN_URLS = re.compile("[\x00-\x20\x7f-\xa0\u2028\u2029]+")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LINK = re.compile(r"(?:https?://|mailto:)[^\s]", re.IGNORECASE)
_REMOTE = re.compile(r"https?://[^/]", re.IGNORECASE)
_RASTER_DATA = re.compile(r"data:image/(?:png|jpe?g|gif|webp|bmp);base64,[A-Za-z0-9+/=]+\Z", re.IGNORECASE)
_ANY_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_TAG_START = re.compile(r"<[a-zA-Z][^\s/>]*+")
# What follows the name of a tag, by the states of HTML's tokenizer (13.2.5.32 to 13.2.5.40); no step back.
_ATTRIBUTES_OF_TAG = re.compile(
    r"""(?:[\s/]++|[^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:"[^"]*+"?+|'[^']*+'?+|[^\s>"'][^\s>]*+)?+)?+)*+"""
)
# HTML opens these again in each block after a missing end tag: a few of them make millions of elements.
_REOPENED = frozenset(
    ["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"]
)
_VOID = frozenset(
    ["area", "base", "br", "col", "hr", "img", "input", "link", "meta", "param", "wbr", "source"]
)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """HTML for the body of a document, and how many remote images were left out of it."""

    html: str
    blocked: int


def clean(
    source: str,
    *,
    inline_url: Callable[[str], str | None],
    image_url: Callable[[str], str] | None,
) -> Cleaned:
    """Clean a mail's HTML. `inline_url` gives the address of a part by its Content-ID, `image_url` the address of our
    proxy for a remote image; None blocks remote images.

    Never raises. What would take too long to parse comes back as its text alone.
    """
    source = source[:MAX_SOURCE].replace("\0", "")
    if _is_bomb(source):
        words = html.escape(text.from_html(source, 200_000))
        return Cleaned(f'<div style="white-space: pre-wrap">{words}</div>', 0)
    images = _Images(inline_url, image_url)
    cleaner = nh3.Cleaner(
        tags=_TAGS,
        clean_content_tags=_SILENT,
        attributes=_ATTRIBUTES,
        attribute_filter=images.attribute,
        link_rel="noopener noreferrer",
        set_tag_attribute_values={"a": {"target": "_blank"}},
        url_schemes={"http", "https", "mailto", "cid", "data"},
    )
    styles, opening = _surroundings(source)
    body = cleaner.clean(source)
    sheet = f"<style>\n{styles}\n</style>\n" if styles else ""
    return Cleaned(f"{sheet}{opening}{body}</div>", images.blocked)


@dataclass(slots=True)
class _Images:
    """Decides each attribute of one mail and counts the remote images that it leaves out."""

    inline_url: Callable[[str], str | None]
    image_url: Callable[[str], str] | None
    blocked: int = field(default=0)

    def attribute(self, _tag: str, name: str, value: str) -> str | None:
        """For nh3: the value to keep, None to drop the attribute."""
        if name == "style":
            return css.attribute(value) or None
        if name == "href":
            return _link(value)
        if name == "src":
            return self._source(value)
        return value

    def _source(self, value: str) -> str | None:
        url = _IGNORED_IN_URLS.sub("", value)
        scheme = url[:5].lower()
        if scheme.startswith("cid:"):
            return self.inline_url(unquote(url[4:])) or None
        if scheme == "data:":
            return url if len(url) <= _MAX_DATA_IMAGE and _RASTER_DATA.match(url) else None
        url = f"https:{url}" if url.startswith("//") else url
        if not _REMOTE.match(url):
            return None
        if self.image_url is None:
            self.blocked += 1
            return PLACEHOLDER
        return self.image_url(url)


def _link(value: str) -> str | None:
    url = (
        _IGNORED_IN_URLS.sub("", value) if not value.lower().lstrip().startswith("mailto:") else value.strip()
    )
    url = f"https:{url}" if url.startswith("//") else url
    return url if _LINK.match(url) else None


def _surroundings(source: str) -> tuple[str, str]:
    """The style sheets of a mail, filtered, and a <div> in the place of its <body>."""
    lowered = source[:MAX_SOURCE].lower()
    if "<style" not in lowered and "<body" not in lowered:
        return "", "<div>"
    tree = LexborHTMLParser(source)
    sheets = "\n".join(node.text(deep=True) or "" for node in tree.css("style"))
    body = tree.body
    attributes = {name: value or "" for name, value in body.attributes.items()} if body is not None else {}
    return css.sheet(sheets), _opening(attributes)


def _opening(attributes: dict[str, str]) -> str:
    style = css.attribute(attributes.get("style", ""))
    for name, declared in (("bgcolor", "background-color"), ("text", "color")):
        # The old attributes yield to the style.
        colour = css.attribute(f"{declared}: {attributes[name]}") if name in attributes else ""
        style = "; ".join(filter(None, (colour, style)))
    kept = {"class": attributes.get("class", ""), "dir": attributes.get("dir", ""), "style": style}
    written = "".join(f' {name}="{html.escape(value)}"' for name, value in kept.items() if value)
    return f"<div{written}>"


def _is_bomb(source: str) -> bool:
    """Whether parsing by the rules of HTML would take more than a moment."""
    if _separators(source) > _HARMLESS_SEPARATORS and _has_endless_tag(source):
        return True
    return source.count("<") >= _HARMLESS_TAGS and _leaves_open(source)


def _separators(source: str) -> int:
    return sum(source.count(mark) for mark in " \t\n\f\r/\"'")


def _has_endless_tag(source: str) -> bool:
    """A tag with thousands of attributes: each is compared with all before it.

    Looked for at every "<", also where a comment or a quotation would hide it from a reader but not the reverse.
    """
    work = 0
    for start in _TAG_START.finditer(source):
        attributes = _ATTRIBUTES_OF_TAG.match(source, start.end())
        assert attributes is not None  # it matches nothing at all, too
        length = len(attributes[0])
        work += length
        if work > 4 * MAX_SOURCE:
            return True
        if length > _HARMLESS_SEPARATORS and _separators(attributes[0]) > _HARMLESS_SEPARATORS:
            return True
    return False


def _leaves_open(source: str) -> bool:
    """Elements left open: the time to parse them and the size of the result grow with the square of their number."""
    tags = depth = deepest = reopened = most_reopened = 0
    open_tags: dict[str, int] = {}
    for tag in _ANY_TAG.finditer(source):
        name, change = tag[2].lower(), -1 if tag[1] else 1
        tags += 1
        if tags > _MAX_TAGS:
            return True
        count = open_tags.get(name, 0) + change
        if name in _VOID or count < 0:
            continue
        open_tags[name] = count
        depth += change
        deepest = max(deepest, depth)
        if name in _REOPENED:
            reopened += change
            most_reopened = max(most_reopened, reopened)
    return tags * (1 + most_reopened) > _MAX_WORK or deepest - _closed_by_themselves(open_tags) > _MAX_DEPTH


def _closed_by_themselves(open_tags: dict[str, int]) -> int:
    """Many programs leave paragraphs, list items and cells open, and HTML closes those at the next one."""
    return sum(open_tags.get(name, 0) for name in ("p", "li", "td", "tr", "th", "dd", "dt", "option"))
