"""Fields in a text, as `{contact.first name}`. What each of them says is known above mail (crm.filling)."""

import re
from collections.abc import Callable
from html import escape

# An editor writes a blank that was typed twice as a no-break space.
_BLANK = r"(?:\s|&nbsp;)+"
_FIELD = re.compile(rf"\{{\s*([a-z]+\.[a-z]+(?:{_BLANK}[a-z]+)*)\s*\}}", re.IGNORECASE)


def found(text: str) -> list[str]:
    """The fields of a text or of HTML, each once, in their order."""
    return list(dict.fromkeys(_name(match[1]) for match in _FIELD.finditer(text)))


def fill(html: str, value: Callable[[str], str]) -> str:
    """HTML with each field as `value` has it, escaped; where that is empty, the field stays to be seen.

    One pass: what a value says is text, also where it looks like a field or like HTML.
    """
    return _FIELD.sub(lambda match: escape(value(_name(match[1]))) or match[0], html)


def fill_line(line: str, value: Callable[[str], str]) -> str:
    """The same for one line of plain text, a subject."""
    filled = _FIELD.sub(lambda match: value(_name(match[1])) or match[0], line)
    return " ".join(filled.split())


def _name(field: str) -> str:
    return " ".join(re.sub(_BLANK, " ", field).lower().split())
