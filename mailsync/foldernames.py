"""PURE: folder names, as the server has them (bytes) and as people read them (modified UTF-7, RFC 3501 5.1.3)."""

import base64
import re

INBOX = b"INBOX"
_SHIFTED = re.compile(r"&([^-]*)(-?)")
_BEYOND_ASCII = re.compile(r"[^\x20-\x7e]+")


def encode(text: str) -> bytes:
    """A name as typed to a name as sent: printable ASCII as it is, "&" as "&-", the rest as "&…-".

    Raises UnicodeEncodeError for half of a surrogate pair.
    """
    return _BEYOND_ASCII.sub(_shift, text.replace("&", "&-")).encode("ascii")


def canonical(name: bytes) -> bytes:
    """The name by which a folder is known, whatever the server writes today: INBOX is one in any case of letters (RFC
    9051 5.1). Of no other name is that so, those of folders inside it included."""
    return INBOX if name.upper() == INBOX else name


def path_of(name: bytes) -> str:
    """A folder's name for people: modified UTF-7, or what a careless server sent instead."""
    if not name.isascii():
        return name.decode("utf-8", "replace").replace("\0", "")
    text = name.decode("ascii")
    try:
        return _SHIFTED.sub(_unshift, text).replace("\0", "")
    except ValueError:  # broken: shown raw (J03)
        return text.replace("\0", "")


def within(name: bytes, parent: bytes, delimiter: str) -> bool:
    """Whether the name is the parent itself or lies below it."""
    return name == parent or (bool(delimiter) and name.startswith(parent + delimiter.encode()))


def moved(name: bytes, old: bytes, new: bytes, delimiter: str) -> bytes:
    """The name after a RENAME of `old` to `new`: what lies below follows (RFC 9051 6.3.6)."""
    return new + name[len(old) :] if within(name, old, delimiter) else name


def _shift(found: re.Match[str]) -> str:
    coded = base64.b64encode(found[0].encode("utf-16-be"), altchars=b"+,")
    return f"&{coded.decode().rstrip('=')}-"


def _unshift(found: re.Match[str]) -> str:
    coded, end = found.groups()
    if not end:
        raise ValueError("not shifted back")
    if not coded:
        return "&"
    padded = coded.replace(",", "/") + "=" * (-len(coded) % 4)
    return base64.b64decode(padded, validate=True).decode("utf-16-be")
