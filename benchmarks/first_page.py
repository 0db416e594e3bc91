"""How long until the newest 50 messages of INBOX can be read: `python benchmarks/first_page.py [--n 20000 100000]`.

The clock starts with the sync of a mailbox that was just connected, in a process of its own as a worker would run
it, and stops when 50 placements of INBOX are committed and are the newest there are. The bound is 3 s, however large
the box is. The first sync is ended then: what it had to do besides is the business of sync.py.
"""

import argparse
import signal
import subprocess
import time

import psycopg2
from common import RESULTS, Product, mail_server, product, table

ADDRESS = "u1@bench.example"
SCREEN = 50
BOUND = 3.0
_NEWEST = """SELECT count(*) FROM (
    SELECT uid FROM mailsync_placement p JOIN mailsync_folder f ON f.id = p.folder_id
    WHERE f.special_use = 'inbox' AND uid > %s LIMIT 50) n"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, nargs="+", default=[20_000, 100_000], help="messages in INBOX")
    parser.add_argument("--reps", type=int, default=3)
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    lines = []
    with product() as made:
        for messages in options.n:
            with mail_server(messages, "first-page-dovecot") as (port, manifest):
                newest = manifest["folders"]["INBOX"]["n"]
                for repetition in range(options.reps):
                    whole, inside = _once(made, port, newest)
                    verdict = "holds" if whole <= BOUND else "FAILS"
                    lines.append([messages, repetition + 1, f"{whole:.2f}", f"{inside:.2f}", verdict])
    head = ["messages", "repetition", "with the start of Python s", "inside s", f"bound {BOUND:g} s"]
    text = table(head, lines)
    (RESULTS / "first-page.md").write_text(text + "\n")
    print(text)


def _once(made: Product, port: int, newest: int) -> tuple[float, float]:
    """Seconds since the process was started, and since it first took the mailbox (the lease)."""
    made.rows("TRUNCATE mailsync_mailbox, mailsync_blob CASCADE")
    made.manage(*made.connecting(ADDRESS, "u1", port))
    database = psycopg2.connect(made.postgres.owner_url)
    database.autocommit = True
    started = time.perf_counter()
    worker = subprocess.Popen(
        made.command("sync_mailbox", ADDRESS), env=made.environment, stdout=subprocess.DEVNULL
    )
    taken = None
    try:
        with database.cursor() as cursor:
            while True:
                cursor.execute("SELECT epoch FROM mailsync_schedule")
                if taken is None and cursor.fetchone()[0]:
                    taken = time.perf_counter()
                cursor.execute(_NEWEST, [newest - SCREEN])
                if cursor.fetchone()[0] == SCREEN:
                    now = time.perf_counter()
                    return now - started, now - (taken or now)
                if worker.poll() is not None:
                    raise SystemExit(f"The sync ended with {worker.returncode} and no first page.")
                time.sleep(0.01)
    finally:
        database.close()
        worker.send_signal(signal.SIGKILL)
        worker.wait()


if __name__ == "__main__":
    main()
