"""HTML of our own editor, cleaned before it is kept and again before it is sent: a browser is a stranger, too."""

import re

import nh3
from selectolax.lexbor import LexborHTMLParser

from mailsync.mime import css

_TAG_NAMES = """
    a b blockquote br code div em h1 h2 h3 h4 h5 h6 hr i img li ol p pre s span strong sub sup
    table tbody td th thead tr u ul
"""
_TAGS = set(_TAG_NAMES.split())
_ATTRIBUTES = {
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
    "*": {"dir", "style"},
}
_MAX = 1_000_000
_CID = re.compile(r"cid:([^\s\"'<>?]+)")
_SIZE = re.compile(r"\d{1,4}\Z")


def clean(html: str) -> str:
    """What the editor can make, and nothing else. Images are only those of the letter itself (`cid:`)."""
    return nh3.clean(
        html[:_MAX].replace("\0", ""),
        tags=_TAGS,
        clean_content_tags={
            "script",
            "style",
            "title",
            "template",
            "textarea",
            "noscript",
            "iframe",
            "svg",
            "math",
        },
        attributes=_ATTRIBUTES,
        attribute_filter=_attribute,
        allowed_classes={"div": {"signature"}},
        url_schemes={"http", "https", "mailto", "tel", "cid"},
        link_rel=None,
    ).strip()


def _attribute(tag: str, name: str, value: str) -> str | None:
    if name == "style":
        return css.attribute(value) or None
    if name == "src":
        return value if _CID.fullmatch(value) else None
    if name == "href":
        return value if not value.lower().startswith("cid:") else None
    if name in ("width", "height") and tag == "img":
        return value if _SIZE.match(value) else None
    return value


def is_empty(html: str) -> bool:
    """Whether there is nothing to read and no image in it."""
    body = LexborHTMLParser(html).body
    return body is None or (not body.text(deep=True).strip() and body.css_first("img, hr") is None)


def is_unwritten(html: str) -> bool:
    """Whether there is nothing but the signature, in which each new letter begins."""
    tree = LexborHTMLParser(html)
    for signature in tree.css("div.signature"):
        signature.decompose()
    return is_empty(tree.html or "")


def images(html: str) -> set[str]:
    """The Content-IDs that HTML shows."""
    return set(_CID.findall(html))
