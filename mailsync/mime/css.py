"""Style rules and attributes of a mail, so filtered that they can colour and arrange, and never fetch or cover."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import tinycss2

MAX_SHEET = 120_000  # characters of all <style> elements of one mail
_MAX_BRACKETS = 20_000  # the parser is slow on them, and no designer needs so many
_MAX_ATTRIBUTE = 4_000
_MAX_NESTING = 3  # of @media within @media

# Boxes, text and tables. Nothing that leaves the flow (position, z-index), waits (animation, transition) or names a
# resource; shorthands are safe because their values are filtered too.
_PROPERTY_NAMES = """
    align-content align-items align-self background background-color background-image background-position
    background-repeat background-size background-clip border border-bottom border-bottom-color
    border-bottom-left-radius border-bottom-right-radius border-bottom-style border-bottom-width border-collapse
    border-color border-left border-left-color border-left-style border-left-width border-radius border-right
    border-right-color border-right-style border-right-width border-spacing border-style border-top border-top-color
    border-top-left-radius border-top-right-radius border-top-style border-top-width border-width box-shadow
    box-sizing caption-side clear color column-count column-gap direction display empty-cells flex flex-basis
    flex-direction flex-flow flex-grow flex-shrink flex-wrap float font font-family font-feature-settings
    font-kerning font-size font-size-adjust font-stretch font-style font-variant font-weight gap height hyphens
    justify-content letter-spacing line-break line-height list-style list-style-position list-style-type margin
    margin-block margin-bottom margin-inline margin-left margin-right margin-top max-height max-width min-height
    min-width object-fit object-position opacity
    order orphans outline overflow overflow-wrap overflow-x overflow-y padding padding-block padding-bottom
    padding-inline padding-left padding-right padding-top page-break-after page-break-before page-break-inside
    quotes row-gap tab-size table-layout text-align text-align-last text-decoration text-decoration-color
    text-decoration-line text-decoration-style text-indent text-overflow text-rendering text-shadow text-transform
    text-wrap unicode-bidi vertical-align visibility white-space widows width word-break word-spacing word-wrap
    writing-mode -webkit-text-size-adjust -ms-text-size-adjust -webkit-font-smoothing
"""
_PROPERTIES = frozenset(_PROPERTY_NAMES.split())
_FUNCTION_NAMES = """
    rgb rgba hsl hsla hwb lab lch oklab oklch color-mix calc min max clamp linear-gradient radial-gradient
    repeating-linear-gradient repeating-radial-gradient
"""
_FUNCTIONS = frozenset(_FUNCTION_NAMES.split())
# A declaration that no parser could read in two ways: no parenthesis, quote, escape or comment in it.
_PLAIN = re.compile(r"\s*([a-zA-Z-]+)\s*:\s*([\w\s#%.,!+-]*)\Z", re.ASCII)
_PLAIN_FONT = re.compile(r"\s*(font-family)\s*:\s*((?:[\w\s.,!-]|'[\w\s.-]*')*)\Z", re.ASCII | re.IGNORECASE)
_MEDIA = re.compile(r"[\w\s:(),.-]*\Z", re.ASCII)
_VALUES = frozenset(["ident", "dimension", "percentage", "number", "hash", "string", "whitespace"])
_OUT_OF_STYLE = str.maketrans({"<": r"\3c ", "\0": ""})


@lru_cache(maxsize=2048)
def attribute(style: str) -> str:
    """The declarations of a style attribute that are safe; "" if none is."""
    style = style[:_MAX_ATTRIBUTE]
    plain = [_plain(piece) for piece in style.split(";") if piece and not piece.isspace()]
    if None not in plain:
        return "; ".join(filter(None, plain))
    try:
        return _declarations(tinycss2.parse_blocks_contents(style, skip_comments=True, skip_whitespace=True))
    except RecursionError:  # brackets in brackets, a thousand deep: nobody's design
        return ""


@lru_cache(maxsize=32)
def sheet(source: str) -> str:
    """The rules of a style sheet that are safe, to be put between <style> and </style>."""
    source = source[:MAX_SHEET]
    if sum(map(source.count, "([{")) > _MAX_BRACKETS:
        return ""
    try:
        rules = tinycss2.parse_stylesheet(source, skip_comments=True, skip_whitespace=True)
        # Nothing in it can end the element early: "<" is written as an escape.
        return "\n".join(_rules(rules, 0)).translate(_OUT_OF_STYLE)
    except RecursionError:
        return ""


def _plain(piece: str) -> str | None:
    """A declaration that needs no parser, "" if its property is not allowed, None if it does need one."""
    found = _PLAIN.match(piece) or _PLAIN_FONT.match(piece)
    if found is None:
        return None
    name = found[1].lower()
    return f"{name}: {found[2].strip()}" if name in _PROPERTIES else ""


def _rules(nodes: Iterable[Any], depth: int) -> Iterable[str]:
    for node in nodes:
        if node.type == "qualified-rule":
            selector = tinycss2.serialize(node.prelude).strip()
            kept = _declarations(
                tinycss2.parse_blocks_contents(node.content, skip_comments=True, skip_whitespace=True)
            )
            if kept and selector and not _has_broken(node.prelude):
                yield f"{selector} {{ {kept} }}"
        elif (
            node.type == "at-rule"
            and node.lower_at_keyword == "media"
            and node.content
            and depth < _MAX_NESTING
        ):
            query = tinycss2.serialize(node.prelude).strip()
            if _MEDIA.match(query) and not any(part.type in ("url", "function") for part in node.prelude):
                inner = tinycss2.parse_rule_list(node.content, skip_comments=True, skip_whitespace=True)
                yield f"@media {query} {{ {' '.join(_rules(inner, depth + 1))} }}"


def _declarations(nodes: Iterable[Any]) -> str:
    kept = []
    for node in nodes:
        if node.type == "declaration" and node.lower_name in _PROPERTIES:
            values = [value for value in node.value if not _fetches(value)]
            if all(map(_is_safe, values)):
                text = tinycss2.serialize(values).strip()
                if text:
                    kept.append(f"{node.lower_name}: {text}{' !important' if node.important else ''}")
    return "; ".join(kept)


def _fetches(node: Any) -> bool:
    """The address of an image: dropped alone, for the colour behind it is worth keeping."""
    return bool(node.type == "url" or (node.type == "function" and node.lower_name == "url"))


def _is_safe(node: Any) -> bool:
    if node.type == "function":
        return bool(node.lower_name in _FUNCTIONS) and all(map(_is_safe, node.arguments))
    if node.type == "literal":
        return node.value in (",", "/", "+", "-", "*")
    return node.type in _VALUES


def _has_broken(nodes: Iterable[Any]) -> bool:
    """A selector with a parse error, an address or a block of rules in it is no selector."""
    return any(node.type in ("error", "url", "{} block", "at-keyword") for node in nodes)
