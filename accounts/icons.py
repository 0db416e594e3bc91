"""The icons of every page, as one sprite: `python -m accounts.icons` writes it anew from lucide's set.

A page that shows 200 icons costs one cached file and 200 short `<use>` elements.
"""

import re
import zipfile
from pathlib import Path

import lucide

NAMES = (
    "archive", "arrow-left", "arrow-up", "at-sign", "bell", "bold", "building-2", "calendar", "check",
    "chevron-down", "chevron-left", "chevron-right", "chevron-up", "circle", "circle-alert", "circle-check",
    "circle-question-mark", "circle-x", "clock", "copy", "download", "ellipsis", "external-link", "eye",
    "eye-off", "file", "file-code", "file-pen", "fingerprint-pattern", "flag", "folder", "folder-input", "forward",
    "funnel", "gauge",
    "grip-vertical", "handshake", "history", "image", "image-off", "inbox", "info", "italic", "kanban",
    "key-round", "keyboard", "link", "list", "list-checks", "list-ordered", "list-plus",
    "loader", "log-in", "log-out", "mail",
    "mail-check", "mail-open", "mails", "menu", "merge", "monitor", "moon", "octagon-alert",
    "paperclip", "pencil", "phone", "plug", "plus", "refresh-cw", "remove-formatting", "reply", "reply-all", "search",
    "send", "send-horizontal", "server", "settings", "shield", "shield-alert", "shield-check", "sliders-horizontal",
    "smartphone",
    "square-check", "square-pen", "star", "sticky-note", "sun",
    "tag", "text-quote", "trash-2", "triangle-alert", "underline", "undo-2", "unlink",
    "unplug", "upload", "user", "user-plus", "users", "x",
)  # fmt: skip
SPRITE = Path(__file__).parent / "static" / "accounts" / "icons.svg"


def sprite() -> str:
    """Return the sprite's text: one symbol an icon, without strokes, which the style sheet gives."""
    with zipfile.ZipFile(Path(lucide.__file__).parent / "lucide.zip") as archive:
        symbols = [_symbol(name, archive.read(f"{name}.svg").decode()) for name in NAMES]
    return '<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n"


def _symbol(name: str, svg: str) -> str:
    inner = re.sub(r"\s+", " ", svg.partition(">")[2].rpartition("</svg>")[0]).replace("> <", "><").strip()
    return f'<symbol id="{name}" viewBox="0 0 24 24">{inner}</symbol>'


if __name__ == "__main__":
    SPRITE.write_text(sprite())
