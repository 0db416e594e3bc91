"""Text for people: HTML as text, flowed lines rejoined, the first words of a mail for the list."""

import html
import re
from collections.abc import Iterable

SNIPPET = 160

_TAG = re.compile(
    r"<(?:"
    r"!--.*?(?:--!?>|\Z)"
    r"|[!?][^>]*>?"
    r"|(?P<close>/?)(?P<name>[a-zA-Z][a-zA-Z0-9:-]*)(?:\"[^\"]*\"|'[^']*'|[^>\"'])*>?"
    r")",
    re.DOTALL,
)
# What has no words in it; everything up to the end tag is skipped.
_SILENT = {
    name: re.compile(rf"</{name}\b", re.IGNORECASE)
    for name in ("style", "script", "title", "template", "svg")
}
_BREAKS = {"br": "\n", "hr": "\n", "tr": "\n", "nl": "\n", "lt": "<", "li": "\n• ", "td": " ", "th": " "}
_BLOCK_NAMES = """
    address article aside blockquote body center dd div dl dt fieldset figure footer form h1 h2 h3 h4 h5 h6
    header main nav ol p pre section table ul
"""
_BLOCKS = frozenset(_BLOCK_NAMES.split())
# Nothing to see: soft hyphens, joiners, direction marks, fillers; newsletters pad their preheader with them.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufffc]+"
)
_LINE_BLANKS = re.compile(r"[ \t\f\v\u00a0]+")
_EMPTY_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_RULER = re.compile(r"([-=_*~#+.•])\1{3,}")
_RULER_MARKS = [mark * 4 for mark in "-=_*~#+.•"]
_LONG_LINK = re.compile(r"[<(\[]?\bhttps?://[^\s<>\])]{25,}[>)\]]?")
_IMAGE_MARK = re.compile(r"\[(?:image|cid|Image)[:\]][^\]\n]{0,200}\]?")
# The line that introduces a quotation, in the languages our people write; it ends in a colon.
_WROTE = re.compile(
    r"(?:On|Am|Le|El|Il|Em|Op|Den|W dniu|Dnia|Dne|В|On\s.*)\b.{6,200}"
    r"(?:wrote|writes|schrieb|écrit|escribió|scritto|escreveu|schreef|skrev|napisał\(?a?\)?|napsal\(?a?\)?|пишет|написал\(?а?\)?)"
    r".{0,60}[:：]\s*\Z"
    r"|.{3,120}\d{1,2}:\d{2}.{0,120}(?:пишет|написал|написала|napsal|wrote|写道|のメール).{0,60}[:：]\s*\Z",
    re.IGNORECASE,
)
_OLD_MAIL = re.compile(
    r"[-_ ]{2,}\s*(?:Original|Forwarded|Ursprüngliche|Weitergeleitete|Исходное|Пересылаемое"
    r"|Message d'origine|Mensaje)\b",
    re.IGNORECASE,
)


def from_html(source: str, limit: int) -> str:
    """The words of an HTML document, about the first `limit` characters, blocks on lines of their own.

    Linear in the length of the source, whatever it is; not a parser, and no basis for a decision about safety.
    """
    out: list[str] = []
    length, at = 0, 0
    while length < limit:
        tag = _TAG.search(source, at)
        stop = tag.start() if tag else len(source)
        if stop > at:
            words = _one_blank(html.unescape(source[at : min(stop, at + limit)]))
            out.append(words)
            length += len(words)
        if tag is None:
            break
        at = _after(tag, source, out)
    text = "".join(out)
    lines = (line.strip() for line in text.split("\n"))
    return _EMPTY_LINES.sub("\n\n", "\n".join(lines)).strip()[:limit]


def _one_blank(words: str) -> str:
    """Blanks and line breaks in a row made one. No blank but the space counts as printable."""
    if "  " in words or not words.isprintable():
        return _LINE_BLANKS.sub(" ", words.replace("\n", " "))
    return words


def _after(tag: re.Match[str], source: str, out: list[str]) -> int:
    """Where to read on behind a tag, having noted the break that it makes."""
    name = (tag["name"] or "").lower()
    if not tag["close"] and name in _SILENT:
        end = _SILENT[name].search(source, tag.end())
        return end.start() if end else len(source)
    if name in _BLOCKS:
        out.append("\n\n" if name == "p" else "\n")
    elif name in _BREAKS and not (tag["close"] and name == "li"):
        out.append(_BREAKS[name])
    return tag.end()


def unflow(text: str, *, delete_space: bool) -> str:
    """format=flowed (RFC 3676): soft-broken lines of one quote depth rejoined."""
    out: list[str] = []
    flowing, depth = False, 0
    for line in text.split("\n"):
        bare = line.lstrip(">")
        level = len(line) - len(bare)
        bare = bare.removeprefix(" ")
        soft = bare.endswith(" ") and bare != "-- "
        if delete_space and soft:
            bare = bare[:-1]
        if flowing and level == depth and bare != "-- ":
            out[-1] += bare
        else:
            out.append(f"{'>' * level} {bare}" if level else bare)
        flowing, depth = soft, level
    return "\n".join(out)


def snippet(text: str) -> str:
    """The first words that are new in this mail, on one line; of a mail that only quotes, the quoted ones."""
    fresh = _squeeze(" ".join(_fresh_lines(text.split("\n", 400)[:400])))
    return fresh or _squeeze(text[:4000].replace(">", " "))


def _fresh_lines(lines: list[str]) -> Iterable[str]:
    """Lines before the signature that are neither quoted nor introduce a quotation."""
    before = ""
    for index, line in enumerate(lines):
        bare = line.strip()
        if bare == "--" or _OLD_MAIL.match(bare):
            return
        if not bare or bare.startswith((">", "|")):
            continue
        if bare[-1] in ":：" and _WROTE.match(bare[-300:]):
            continue
        following = lines[index + 1].strip() if index + 1 < len(lines) else ""
        if following[-1:] in (":", "：") and _WROTE.match(f"{bare} {following}"[-300:]):
            lines[index + 1] = ""  # the introduction, broken in two
            continue
        yield bare
        before += bare
        if len(before) > 4 * SNIPPET:
            return


def _squeeze(text: str) -> str:
    if not text.isascii():
        text = _INVISIBLE.sub("", text)
    if "[" in text:
        text = _IMAGE_MARK.sub(" ", text)
    if any(map(text.__contains__, _RULER_MARKS)):
        text = _RULER.sub(" ", text)
    # str.split knows every blank of Unicode.
    short = " ".join(_LONG_LINK.sub(" ", text).split()) if "://" in text else " ".join(text.split())
    return (short or " ".join(text.split()))[:SNIPPET].rstrip()
