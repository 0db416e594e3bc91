"""HTML that we clean or write ourselves as the plain text that goes beside it.

Why no library for it: html2text-rs aborts the whole process on deep quotations, inscriptis loses quotation marks,
html2text is GPL. The tree is selectolax's; text.from_html stays the quick way for lists and search.
"""

import re
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

_BLANKS = re.compile(r"[ \t\n\r\f]+")
_PARAGRAPHS = frozenset(
    ["p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "blockquote", "pre", "ul", "ol", "dl"]
)
_BLOCKS = _PARAGRAPHS | frozenset(
    [
        "div",
        "li",
        "tr",
        "dt",
        "dd",
        "section",
        "article",
        "header",
        "footer",
        "figure",
        "figcaption",
        "center",
        "hr",
    ]
)
_SILENT = frozenset(["style", "script", "title", "head", "template", "svg"])


def text(html: str) -> str:
    """The words of cleaned HTML: quotations with "> ", lists with marks, links with their addresses."""
    body = LexborHTMLParser(html).body
    if body is None:
        return ""
    writer = _Writer()
    # No recursion: a quotation of quotations is deeper than Python's stack.
    todo: list[tuple[LexborNode, bool]] = [(body, False)]
    while todo:
        node, leaving = todo.pop()
        if leaving:
            writer.leave(node)
        elif node.tag == "-text":
            writer.words(node.text_content or "")
        elif node.tag and not node.tag.startswith("-") and node.tag not in _SILENT:
            writer.enter(node)
            todo.append((node, True))
            todo += [(child, False) for child in reversed(list(node.iter(include_text=True)))]
    return writer.finished()


@dataclass(slots=True)
class _Writer:
    """Lines so far, each with the depth of quotation it was written at."""

    lines: list[tuple[int, str]] = field(default_factory=list)
    line: str = ""
    quote: int = 0
    keeps_blanks: int = 0
    gap: bool = False  # an empty line is due before the next words
    marks: list[int] = field(default_factory=list)  # of the open lists: the number to come, 0 for bullets
    mark: str = ""  # of the item that begins

    def words(self, found: str) -> None:
        if self.keeps_blanks:
            first, *others = found.split("\n")
            self._add(first)
            for other in others:
                self._break()
                self._add(other)
            return
        found = _BLANKS.sub(" ", found)
        if not self.line or self.line.endswith(" "):
            found = found.lstrip(" ")
        self._add(found)

    def enter(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag in _BLOCKS:
            self._block(tag)
        if tag == "blockquote":
            self.quote += 1
        elif tag == "pre":
            self.keeps_blanks += 1
        elif tag in ("ul", "ol"):
            self.marks.append(1 if tag == "ol" else 0)
        elif tag == "li":
            self._item()
        elif tag == "br":
            self._break()
        elif tag == "hr":
            self._add("-" * 20)
        elif tag == "img":
            self._image(node)

    def leave(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag == "a":
            self._address(node)
        elif tag in ("td", "th") and self.line and not self.line.endswith(" "):
            self.line += "  "
        elif tag in ("ul", "ol"):
            self._block("li")
            self.marks.pop()
        if tag in _BLOCKS:
            self._block(tag)
        if tag == "blockquote":
            self.quote -= 1
        elif tag == "pre":
            self.keeps_blanks -= 1

    def finished(self) -> str:
        self._block("div")
        written = [f"{'>' * depth} {line}".rstrip(" ") if depth else line for depth, line in self.lines]
        return "\n".join(written).strip("\n") + "\n" if written else ""

    def _add(self, words: str) -> None:
        if not words:
            return
        if not self.line:
            if self.gap and self.lines:
                # Between two quotations of different depth the empty line belongs to the shallower one.
                self.lines.append((min(self.quote, self.lines[-1][0]), ""))
            self.gap = False
            self.line, self.mark = self.mark, ""
        self.line += words

    def _break(self) -> None:
        # The line above a signature is "-- " (RFC 3676 4.3).
        self.lines.append((self.quote, self.line if self.line == "-- " else self.line.rstrip(" ")))
        self.line = ""

    def _block(self, tag: str) -> None:
        if self.line:
            self._break()
        self.gap = self.gap or (tag in _PARAGRAPHS and not self.marks)

    def _item(self) -> None:
        indent = "  " * max(len(self.marks) - 1, 0)
        number = self.marks[-1] if self.marks else 0
        self.mark = f"{indent}{number}. " if number else f"{indent}- "
        if number:
            self.marks[-1] += 1

    def _image(self, node: LexborNode) -> None:
        described = (node.attributes.get("alt") or "").strip()
        if described:
            self.words(f"[{described}]")

    def _address(self, node: LexborNode) -> None:
        """The address of a link, unless it is what the link says."""
        href = (node.attributes.get("href") or "").removeprefix("mailto:")
        said = (node.text(deep=True) or "").strip()
        bare = re.sub(r"^https?://", "", href).rstrip("/")
        if said and href and not href.startswith("#") and bare not in said:
            self._add(f" <{href}>")
