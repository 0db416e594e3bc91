"""One message after the other as an mbox file in the mboxrd form (RFC 4155; qmail's "rd" quoting, which can be undone).

The bytes of a message are kept as they are, line ends too. Two things are added: ">" before lines that begin with
"From " (after any number of ">"), and a line end to a message that has none at its end.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

_FROM = re.compile(rb"^(>*From )", re.MULTILINE)


def entry(header: bytes, body: bytes, received_at: datetime) -> Iterator[bytes]:
    """The message in parts, so that a large body is not copied once more to be joined."""
    moment = received_at.astimezone(UTC).strftime("%a %b %d %H:%M:%S %Y")
    yield f"From MAILER-DAEMON {moment}\n".encode("ascii")
    yield _FROM.sub(rb">\1", header)
    yield _FROM.sub(rb">\1", body)
    yield b"\n" if (body or header).endswith(b"\n") else b"\n\n"
