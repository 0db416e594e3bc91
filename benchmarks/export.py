"""What an export of a large mailbox costs, and what is left of it when its worker is killed.

    python benchmarks/export.py [--n 100000]

One mailbox with n messages: 9 in 10 of about 8 kB, 1 in 10 of about 200 kB, and three of 45 MB. Its owner asks for an
export. A worker's process is killed with SIGKILL in the middle of the second part, another goes on. What is said:
parts, seconds, the most memory that a process held, whether the progress ever went backwards or past its end, and
whether every message is in the files exactly once. The bound: 300 MB.
"""

import argparse
import json
import re
import subprocess
import time
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from common import ACCOUNT, Product, product

BOUND_MB = 300
_MAILBOX = """
import base64, os
from django.utils import timezone
from accounts import tenancy
from accounts.models import Account, Employee
from mailsync.models import Folder
from retention import exporting
from tests.world import mailbox, place
account = Account.objects.get(name={name!r})
with tenancy.acting_for(account.pk):
    ann = Employee.objects.get(account=account)
    folder = mailbox(ann, "ann@bench.example").folders.get(special_use="inbox")
    sizes = [6_000] * 500 + [150_000] * 20 + [33_000_000]
    for number, size in enumerate(sizes):
        body = base64.encodebytes(os.urandom(size)).replace(b"\\n", b"\\r\\n")
        place(folder, b"Subject: seed %d\\r\\n\\r\\n" % number + body, received_at=timezone.now())
    export = exporting.ask(ann, "mine")
print(account.pk, folder.mailbox_id, folder.pk, export.pk)
"""
_MESSAGES = """
WITH kind AS (SELECT n, CASE WHEN n %% 33333 = 0 THEN 2 WHEN n %% 10 = 0 THEN 1 ELSE 0 END AS k
              FROM generate_series(1, %s) n),
seed AS (SELECT id, CASE WHEN size > 1000000 THEN 2 WHEN size > 100000 THEN 1 ELSE 0 END AS k,
                row_number() OVER (PARTITION BY size > 1000000, size > 100000 ORDER BY id) AS r,
                count(*) OVER (PARTITION BY size > 1000000, size > 100000) AS many FROM mailsync_blob),
made AS (INSERT INTO mailsync_message (account_id, mailbox_id, identity, header_hash, header, body_id, size, message_id,
    subject, sender_name, sender_address, recipients, received_at, snippet, has_attachments, parse_problem)
    SELECT %s, %s, sha256(n::text::bytea), sha256(n::text::bytea),
        convert_to('Subject: ' || n || E'\\r\\nMessage-ID: <' || n || E'@bench.example>\\r\\n\\r\\n', 'UTF8'),
        seed.id, 8000, n || '@bench.example', 'Number ' || n, 'Zoe', 'zoe@elsewhere.example', '{}',
        now() - n * interval '1 minute', '', false, ''
    FROM kind JOIN seed ON seed.k = kind.k AND seed.r = n %% seed.many + 1
    RETURNING id, received_at)
INSERT INTO mailsync_placement (account_id, folder_id, message_id, uid, flags, received_at)
SELECT %s, %s, id, 1000 + row_number() OVER (), '{\\\\Seen}', received_at FROM made
"""
_WORK = """
from retention import exporting
while exporting.run({account}, {export}):
    pass
"""
_LOOK = "SELECT done, total, parts FROM retention_export WHERE id = %s"


@dataclass
class Watch:
    """Looks at the row as the page does, and at the memory of the worker's process, until that ends."""

    made: Product
    export: int
    seen: list[tuple[int, int]] = field(default_factory=list)
    most_mb: int = 0

    def over(self, process: "subprocess.Popen[str]", *, kill: bool) -> None:
        """With `kill` it ends in the middle of the second part."""
        second_from = None
        while process.poll() is None:
            [(done, total, parts)] = self.made.rows(_LOOK, self.export)
            self.seen.append((done, total))
            self.most_mb = max(self.most_mb, resident_mb(process.pid))
            if kill and parts == 1:
                second_from = done if second_from is None else second_from
                if done > second_from + 5_000:
                    process.kill()
            time.sleep(0.2)
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=100_000)
    options = parser.parse_args()
    with product() as made:
        said = made.manage("shell", "-v", "0", "-c", _MAILBOX.format(name=ACCOUNT))
        account, mailbox, folder, export = map(int, said.split())
        made.rows(_MESSAGES, options.n, account, mailbox, account, folder)
        made.rows("VACUUM ANALYZE")
        measure(made, account, export)


def measure(made: Product, account: int, export: int) -> None:
    worker = made.command("shell", "-v", "0", "-c", _WORK.format(account=account, export=export))
    watch, seconds = Watch(made, export), []
    for kill in (True, False):
        began = time.monotonic()
        process = subprocess.Popen(worker, env=made.environment, text=True)
        watch.over(process, kill=kill)
        seconds.append(time.monotonic() - began)
        print(
            f"worker ended with {process.returncode} after {seconds[-1]:.0f} s: {made.rows(_LOOK, export)[0]}"
        )
        made.rows("UPDATE retention_export SET seen_at = now() - interval '6 minutes' WHERE id = %s", export)
    done = [each for each, _total in watch.seen]
    took, past = sum(seconds), sum(each > total for each, total in watch.seen)
    back = [a - b for a, b in pairwise(done) if b < a]
    print(f"{took:.0f} s, {done[-1] / took:.0f} a second; most memory {watch.most_mb} MB (bound {BOUND_MB})")
    print(
        f"looked {len(done)} times; past its end: {past} times; went back by {back} with the dead worker's part"
    )
    check(made, account, export)


def check(made: Product, account: int, export: int) -> None:
    """Every message of the folder is in the parts, once."""
    files = sorted(Path(made.environment["MAIL_FILES"]).glob(f"{account}/exports/{export}*.zip"))
    names: Counter[str] = Counter()
    letters = size = 0
    for file in files:
        size += file.stat().st_size
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                with archive.open(name) as lines:
                    if name.endswith(".jsonl"):
                        names.update(
                            json.loads(line)["message_id"] + json.loads(line)["subject"] for line in lines
                        )
                    elif name.endswith(".mbox"):
                        letters += sum(line.startswith(b"From MAILER-DAEMON ") for line in lines)
    [(there,)] = made.rows("SELECT count(*) FROM mailsync_placement")
    print(f"{len(files)} parts, {size / 2**20:.0f} MB; {there} messages here, {letters} in the mbox files, "
          f"{len(names)} different ones in the lines beside, {sum(names.values())} lines")  # fmt: skip


def resident_mb(pid: int) -> int:
    try:
        said = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+)", said)
    return int(found[1]) // 1024 if found else 0


if __name__ == "__main__":
    main()
