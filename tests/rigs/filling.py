"""Many messages at once, written into the Maildir as a delivery agent would."""

import os
import time
from datetime import UTC, datetime, timedelta

from tests.rigs.mailserver import MailServer


def fill(
    dovecot: MailServer, login: str, count: int, *, size: int = 300, days: int = 60, path: str = "INBOX"
) -> None:
    """Small messages into a folder without subfolders, received over the last `days`, oldest first."""
    with dovecot.imap(login) as client:
        client.select(path)  # makes the Maildir
    folder = dovecot.maildir(login) / ("" if path == "INBOX" else f".{path}") / "cur"
    start = datetime.now(UTC) - timedelta(days=days)
    for number in range(count):
        at = start + timedelta(days=days) * number / count
        raw = (
            f"From: Sender {number % 50} <s{number % 50}@example.org>\r\nTo: {login}\r\n"
            f"Subject: Message {number}\r\nMessage-ID: <{path}{number}.{login}>\r\n"
            f"Date: {at:%a, %d %b %Y %H:%M:%S} +0000\r\n\r\n"
        ) + "Lorem\r\n" * (size // 7)
        file = folder / f"{int(at.timestamp())}.M{number:06}P1.fill,S={len(raw)},W={len(raw)}:2,"
        file.write_bytes(raw.encode())
        os.utime(file, (at.timestamp(), at.timestamp()))
    quiet = time.time() - 60  # a folder changed this second is scanned at every command
    os.utime(folder, (quiet, quiet))
