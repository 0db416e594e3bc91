"""One very large folder: `python benchmarks/large_folder.py [--n 180000]`.

What a quiet sync, a single change and a deletion cost there; and how long reading all flags takes at a server without
CONDSTORE (rig of the tests: a line that hides it). The mail is small, for what counts here is how many.
Bounds: nothing new 2 s, all flags 20 s, 300 MB.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from common import RESULTS, Product, load_rig, product, table

from tests.rigs import proxy

ADDRESS = "u1@bench.example"
# Silent about it, and no more: to change each line, as the tests do, costs more than the reading of it.
NOCOND = proxy.without("CONDSTORE", "QRESYNC", "ENABLE", "ESEARCH")
NEWEST = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=180_000, help="messages in INBOX")
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    with product() as made, _large_server(options.n) as (port, rig):
        made.manage(*made.connecting(ADDRESS, "u1", port))
        lines = [_line("first sync", made, None), _line("nothing new", made, 2)]
        _elsewhere(rig, port, f"UID STORE {options.n // 2} +FLAGS.SILENT (\\Flagged)")
        lines.append(_line("one flag there", made, None))
        _elsewhere(rig, port, f"UID STORE {options.n // 3} +FLAGS.SILENT (\\Deleted)", "EXPUNGE")
        lines.append(_line("one deleted there", made, None))
        with proxy.line_to("127.0.0.1", port, NOCOND) as line:
            made.rows("UPDATE mailsync_mailbox SET imap_port = %s", line.port)
            _elsewhere(rig, port, f"UID STORE {options.n // 4} +FLAGS.SILENT (\\Flagged)")
            lines.append(_line("all flags, without CONDSTORE", made, 20))
            flagged = "SELECT count(*) FROM mailsync_placement WHERE '\\Flagged' = ANY(flags)"
            assert made.rows(flagged) == [(2,)], "a flag was not seen"
    text = table([f"{options.n} messages", "inside s", "CPU s", "peak MB", "bound"], lines)
    (RESULTS / "large-folder.md").write_text(text + "\n")
    print(text)


def _line(what: str, made: Product, bound: float | None) -> list[str]:
    """One sync in a process of its own, as a worker would run it. CPU is the process's, Python's start included."""
    worker = subprocess.Popen(
        made.command("sync_mailbox", ADDRESS), env=made.environment, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout
    said = json.loads(worker.stdout.read().splitlines()[-1])
    _pid, status, used = os.wait4(worker.pid, 0)
    if status:
        raise SystemExit(f"The sync ended with {status}.")
    verdict = "" if bound is None else f"{bound:g} s: {'holds' if said['seconds'] <= bound else 'FAILS'}"
    cpu = used.ru_utime + used.ru_stime
    return [what, f"{said['seconds']:.2f}", f"{cpu:.1f}", f"{used.ru_maxrss / 1024:.0f}", verdict]


@contextmanager
def _large_server(messages: int) -> Iterator[tuple[int, Any]]:
    rig, dovecot = load_rig()
    rig.setup("sync")
    folder = Path(rig.workdir("large-folder"))
    maildir = folder / "home/u1/Maildir"
    _fill(maildir, messages)
    account, group = dovecot.who()
    subprocess.run(["chown", "-R", f"{account.pw_uid}:{group.gr_gid}", str(folder / "home")], check=True)
    _pid, port = dovecot.start(str(folder), users=1)
    try:
        yield port, rig
    finally:
        dovecot.stop(str(folder))
        shutil.rmtree(folder, ignore_errors=True)


def _fill(maildir: Path, messages: int) -> None:
    for name in ("cur", "new", "tmp"):
        (maildir / name).mkdir(parents=True)
    for number in range(messages):
        at = (NEWEST - timedelta(minutes=messages - number)).timestamp()
        raw = (
            f"From: Sender {number % 500} <s{number % 500}@example.org>\r\nTo: {ADDRESS}\r\n"
            f"Subject: Message {number}\r\nMessage-ID: <large{number}@example.org>\r\n"
            f"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n\r\nGood morning.\r\n"
        ).encode()
        file = maildir / "cur" / f"{int(at)}.M{number:07}P1.large,S={len(raw)},W={len(raw)}:2,"
        file.write_bytes(raw)
        os.utime(file, (at, at))
    quiet = time.time() - 60  # a folder changed this second is scanned at every command
    os.utime(maildir / "cur", (quiet, quiet))


def _elsewhere(rig: Any, port: int, *commands: str) -> None:
    """Another mail program."""
    client = rig.Imap(port, "u1")
    client.cmd("SELECT INBOX")
    for command in commands:
        client.cmd(command)
    client.cmd("LOGOUT")
    time.sleep(1.2)


if __name__ == "__main__":
    sys.exit(main())
