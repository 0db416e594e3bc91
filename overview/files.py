"""A file of mailboxes to connect: CSV as spreadsheets write it, to the fields of mailsync.enrolling.EnrolmentForm."""

import csv
import io

from django.utils.translation import gettext as _

MOST_ROWS = 500
MOST_BYTES = 1024 * 1024
# Headings by the field that they mean, lower-case and without blanks, "_" and "-".
_HEADINGS = {
    "address": ("address", "email", "emailaddress", "mailbox"),
    "owner_email": ("owner", "owneremail", "employee", "user"),
    "login": ("login", "username"),
    "password": ("password", "apppassword"),
    "imap_host": ("imap", "imaphost", "imapserver", "incoming"),
    "imap_port": ("imapport",),
    "imap_security": ("imapsecurity",),
    "smtp_host": ("smtp", "smtphost", "smtpserver", "outgoing"),
    "smtp_port": ("smtpport",),
    "smtp_security": ("smtpsecurity",),
    "days": ("days", "fetchdays"),
}
_MEANS = {heading: name for name, headings in _HEADINGS.items() for heading in headings}
EXAMPLE = "address,owner,password,login,imap,smtp,days"


class CannotRead(Exception):
    """The text is a sentence for the page."""


def read(content: bytes) -> list[dict[str, str]]:
    """The rows below the headings, empty ones left out. Raises CannotRead."""
    if len(content) > MOST_BYTES:
        raise CannotRead(_("The file is too large: at most 1 MB."))
    lines = list(csv.reader(io.StringIO(_text(content), newline=""), _dialect(content)))
    if not lines:
        raise CannotRead(_("The file is empty."))
    names = [_MEANS.get(_plain(heading), "") for heading in lines[0]]
    if not {"address", "owner_email"} <= {*names}:
        words = _(
            "The first line must name the columns, with address and owner among them, such as: %(example)s"
        )
        raise CannotRead(words % {"example": EXAMPLE})
    rows = [dict(_cells(names, line)) for line in lines[1:] if any(cell.strip() for cell in line)]
    if not rows or len(rows) > MOST_ROWS:
        words = _("The file must have between 1 and %(most)d mailboxes; it has %(n)d.")
        raise CannotRead(words % {"most": MOST_ROWS, "n": len(rows)})
    return rows


def _cells(names: list[str], line: list[str]) -> list[tuple[str, str]]:
    """With a port behind a host, as people write it, in the field of the port."""
    cells = []
    for name, cell in zip(names, line, strict=False):
        # A password may begin or end with a blank; nothing else does.
        value = cell.replace("\0", "") if name == "password" else cell.replace("\0", "").strip()
        host, colon, port = value.rpartition(":")
        if name in ("imap_host", "smtp_host") and colon and port.isdecimal() and ":" not in host:
            cells += [(name, host), (name.replace("host", "port"), port)]
        elif name and (value or name not in dict(cells)):
            cells.append((name, value))
    return cells


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _dialect(content: bytes) -> type[csv.Dialect]:
    first = _text(content).partition("\n")[0]

    class Found(csv.excel):
        delimiter = max(",;\t", key=first.count)

    return Found


def _plain(heading: str) -> str:
    return "".join(letter for letter in heading.lower() if letter not in " _-")
