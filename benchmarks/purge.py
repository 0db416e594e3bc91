"""What the purge costs: beside one raw DELETE of as many rows, for who reads meanwhile, its preview, idle nights.

    python benchmarks/purge.py [--n 2000000] [--accounts 100000]

Two companies have the same mail: n messages each, 23 % too old, of which one in ten is with a client and one in a
hundred on a task. Of one the old rows are deleted with what hangs on them, the other is purged as by night: how many
rows a second that makes counts what the purge waits for people. Meanwhile somebody whose mail it is asks for
pages, ten to twenty a second. The purge works in turns, with as much time in between, so that pages with and without it
are measured in the same minutes; when the night's is over later nights follow until enough pages were asked for.

The bounds: half the rows a second of the raw DELETE; p95 of pages at most 20 % more; 3 s for a preview of 1 M messages;
60 s for 100 000 companies. With BENCH_HOME the rows are made once: copy the folder before it is purged.
"""

import argparse
import json
import statistics
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from common import ACCOUNT, EMPLOYEE, Product, product, spawn_web, table
from pages import Browser
from purge_rows import COMPANIES, fill

from demo import services

RAW, EMPTY = "Raw", "Empty"
DAYS = 90
TURN, PAUSE, SETTLE = 5, 5, 0.5  # seconds of purge, without it, and of the latter that are not measured
EVERY = 0.1  # seconds between two pages
ENOUGH = 300  # of each page with and without the purge
NIGHTS, LAST = 10, 80  # days from one purge to the next, and of the last one
NICE = ["nice", "-n", "10"]  # as docker-compose.yml starts the worker of the long work
_OLD = f"""CREATE TABLE old_ones AS SELECT m.id FROM mailsync_message m JOIN accounts_account a ON a.id = m.account_id
WHERE a.name = %s AND m.ages_from < now() - interval '{DAYS} days'
AND NOT EXISTS (SELECT FROM tasks_taskmessage t WHERE t.message_id = m.id)"""
_RAW = """BEGIN;
DELETE FROM mailsync_placement WHERE message_id IN (SELECT id FROM old_ones);
DELETE FROM mailsync_attachment WHERE message_id IN (SELECT id FROM old_ones);
DELETE FROM mailsync_event WHERE message_id IN (SELECT id FROM old_ones);
DELETE FROM crm_activitycopy WHERE message_id IN (SELECT id FROM old_ones);
DELETE FROM mailsync_message WHERE id IN (SELECT id FROM old_ones);
COMMIT"""
_CHOICES = {"batch": "purge.BATCH", "part": "discarding.PART", "patience": "giving_way.PATIENCE"}
# What a worker does, a turn for each line that it reads: in how many days it is.
_PURGE = """
import sys, time
from datetime import timedelta
from django.utils import timezone
from accounts.models import Account
from mailsync import discarding, giving_way
from retention import purge
{chosen}
account = Account.objects.get(name={name!r})
print("ready", flush=True)
for line in sys.stdin:
    began = time.monotonic()
    run = purge.purge(account.pk, timezone.now() + timedelta(days=int(line)), seconds={seconds})
    print(time.monotonic() - began, run.state, flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=2_000_000, help="messages of each of the two companies")
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument(
        "--only-fill", action="store_true", help="make the rows (with BENCH_HOME) and no more"
    )
    for name, meaning in _CHOICES.items():
        parser.add_argument(f"--{name}", type=float, help=f"{meaning}, instead of the product's")
    options = parser.parse_args()
    asked = vars(options)
    chosen = [f"{meaning} = {asked[name]:g}" for name, meaning in _CHOICES.items() if asked[name] is not None]
    with product() as made:
        _furnish(made, options.n)
        if options.only_fill:
            return
        port = services.free_port(24_300)
        spawn_web(made, "benchmarks.asking:application", port=port)
        _previews(made, port)
        raw = _raw(made)
        ours = _purged(made, port, chosen)
        print(f"the purge is {ours / raw:.2f} of the raw DELETE", flush=True)
        _night(made, options.accounts)


def _furnish(made: Product, messages: int) -> None:
    if made.rows("SELECT id FROM accounts_account WHERE name = %s", EMPTY):
        return
    for name in (RAW, EMPTY):
        made.manage("create_account", name, "--plan", "professional", "--admin", _admin(name),
                    "--name", "R", "--password-env", "BENCH_PASSWORD")  # fmt: skip
    fill(made, RAW, _admin(RAW), messages)
    fill(made, ACCOUNT, EMPLOYEE, messages)
    made.rows("VACUUM ANALYZE")


def _admin(name: str) -> str:
    return f"{name.lower()}@bench.example"


def _previews(made: Product, port: int) -> None:
    """Pages of an admin that count: the first time, and again."""
    browser = Browser(port, _admin(RAW))
    [(row,)] = made.rows("SELECT id FROM plans_planlimits WHERE plan = 'basic'")
    pages = {
        "tonight": "/retention/preview/",
        "what if Basic": f"/retention/preview/?row={row}",
        "what if Basic from a day on": f"/retention/preview/?row={row}&on=2027-05-01",
        "other plans": "/plan/compare/",
        "plan page": "/plan/",
        "storage by cause": "/plan/storage/",
    }
    lines = [[name, *(f"{timed(lambda p=path: browser.get(p)) * 1000:.0f}" for _ in range(3))]  # type: ignore[misc]
             for name, path in pages.items()]  # fmt: skip
    print(table(["what is counted", "first ms", "ms", "ms"], lines), flush=True)


def _raw(made: Product) -> float:
    """Rows a second."""
    made.rows(_OLD, RAW)
    made.rows("CHECKPOINT")
    seconds = timed(lambda: made.rows(_RAW))
    [(count,)] = made.rows("SELECT count(*) FROM old_ones")
    print(f"raw DELETE: {count} rows in {seconds:.1f} s, {count / seconds:.0f} a second", flush=True)
    return float(count / seconds)


def _purged(made: Product, port: int, chosen: list[str]) -> float:
    """Rows a second of the purge of tonight; prints what pages took meanwhile and in between."""
    made.rows("CHECKPOINT")
    [(inbox,)] = made.rows(
        """SELECT min(f.id) FROM mailsync_folder f JOIN accounts_account a ON a.id = f.account_id
           WHERE a.name = %s AND f.special_use = 'inbox'""",
        ACCOUNT,
    )
    speed = 0.0
    with (
        worker(made, chosen) as turn,
        reader(Browser(port, EMPLOYEE), [f"/mail/{inbox}/", f"/mail/rows/?list={inbox}"]) as asked,
    ):
        time.sleep(2 * SETTLE)
        for days in range(0, LAST, NIGHTS):
            seconds = _night_of(turn, days, asked)
            if not days:
                [(gone,)] = made.rows(
                    "SELECT sum(messages)::bigint FROM retention_retentionline WHERE kind IN ('removed', 'hidden')"
                )
                speed = float(gone / seconds)
                print(f"purge: {gone} rows in {seconds:.1f} s, {speed:.0f} a second", flush=True)
            if asked.fewest() >= ENOUGH:
                break
    print(asked.report(), flush=True)
    return speed


def _night_of(turn: Callable[[int], tuple[float, str]], days: int, asked: "Reader") -> float:
    """One purge in turns; returns its seconds."""
    seconds, state = 0.0, ""
    while state != "finished":
        asked.phase = "in between"
        time.sleep(PAUSE)
        asked.phase = "meanwhile"
        took, state = turn(days)
        asked.phase = ""
        seconds += took
        time.sleep(SETTLE)
    return seconds


@contextmanager
def worker(made: Product, chosen: list[str]) -> Iterator[Callable[[int], tuple[float, str]]]:
    """Purges for a turn when called; returns how many seconds that took, and the state of the run."""
    code = _PURGE.format(name=ACCOUNT, seconds=TURN, chosen="\n".join(chosen))
    # Later nights take more than half of what is left by then.
    environment = {**made.environment, "MAIL_PURGE_BRAKE": "100"}
    process = subprocess.Popen([*NICE, *made.command("shell", "-v", "0", "-c", code)], env=environment, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    assert process.stdin
    assert process.stdout
    process.stdout.readline()

    def turn(days: int) -> tuple[float, str]:
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{days}\n")
        process.stdin.flush()
        took, state = process.stdout.readline().split()
        return float(took), state

    yield turn
    process.stdin.close()
    process.wait()


class Reader:
    """Somebody who looks at pages; `phase` says under which name they are counted, "" for none."""

    def __init__(self) -> None:
        self.phase = ""
        self.took: dict[tuple[str, str], list[float]] = defaultdict(list)

    def fewest(self) -> int:
        return min(map(len, self.took.values()), default=0)

    def report(self) -> str:
        lines = []
        for (path, phase), took in sorted(self.took.items()):
            took.sort()
            lines.append([path, phase, len(took), f"{statistics.median(took):.1f}",
                          f"{took[int(len(took) * 0.95)]:.1f}", f"{took[-1]:.0f}"])  # fmt: skip
        return table(["page", "the purge", "asked", "p50 ms", "p95 ms", "max ms"], lines)


@contextmanager
def reader(browser: Browser, paths: list[str]) -> Iterator[Reader]:
    asked, over = Reader(), threading.Event()

    def look() -> None:
        while not over.is_set():
            for path in paths:
                phase = asked.phase
                seconds = timed(lambda p=path: browser.get(p))  # type: ignore[misc]
                if phase and phase == asked.phase:
                    asked.took[path, phase].append(seconds * 1000)
                over.wait(EVERY)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield asked
    finally:
        over.set()
        thread.join()


def _night(made: Product, accounts: int) -> None:
    start = min(timed(lambda: made.manage("purge", "--account", EMPTY, "--dry-run")) for _ in range(2))
    made.manage("purge")  # what others have to purge
    made.rows(COMPANIES[0], accounts)
    for statement in COMPANIES[1:]:
        made.rows(statement)
    made.rows("ANALYZE")
    said: list[str] = []
    seconds = timed(lambda: said.append(made.manage("purge", "--json"))) - start
    had = [json.loads(line)["account"] for line in said[0].splitlines()]
    print(f"{accounts} companies with nothing to do: {seconds:.1f} s; others: {had}", flush=True)


def timed(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


if __name__ == "__main__":
    main()
