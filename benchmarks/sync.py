"""Our sync beside mbsync's, on the same mail server in one run: `python benchmarks/sync.py [--n 20000]`.

Starts the product (PostgreSQL and Valkey of its own), describes it to the rig's sync_bench.py and shows what came out
as ratios. "whole" is the process from its start to its end, "inside" what it says of itself without the start of
Python and Django, which a resident worker has behind it.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from common import RESULTS, RIG, RIG_PYTHON, Product, product, rows, table

PHASES = ("initial", "nochange", "new100", "srvflags", "locflags")
RIVALS = "raw1,mbsync,mbsync-nofsync"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=20_000, help="messages in the mailbox")
    parser.add_argument("--reps", type=int, default=1)
    parser.add_argument("--only", default=RIVALS, help="whom to compare with, separated by commas")
    parser.add_argument("--rtt", type=float, default=0, help="milliseconds to the mail server and back")
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    name = f"sync-{options.n}" + (f"-rtt{options.rtt:g}" if options.rtt else "")
    with product() as made:
        spec = made.home / "product.json"
        spec.write_text(json.dumps(_described(made)))
        command = [RIG_PYTHON, RIG / "sync_bench.py", "--product", spec, "--out", name]
        command += ["--n", options.n, "--reps", options.reps, "--rtt", options.rtt, "--only", options.only]
        # The rig prints a table of seconds; ours of ratios follows.
        if subprocess.run([str(part) for part in command], env=made.environment, cwd=made.home).returncode:
            raise SystemExit("The rig did not finish.")
        sizes = _sizes(made)
    result = json.loads((RESULTS / f"{name}.json").read_text())
    text = f"{_head(result, options)}\n\n{_ratios(result)}\n\n{sizes}"
    if result["bad"]:
        text += "\n\nFAILED CHECKS:\n" + "\n".join(result["bad"])
    (RESULTS / f"{name}-ratios.md").write_text(text + "\n")
    print(text)


def _described(made: Product) -> dict[str, Any]:
    """The product as sync_bench.py wants it; {user}, {port} and {n} are the rig's to fill in."""
    mailbox = "{user}@bench.example"
    helper = [sys.executable, str(Path(__file__).resolve())]
    steps = {
        "setup": [*helper, "fresh", "{user}", "{port}"],
        "sync": made.command("sync_mailbox", mailbox),
        "mark": made.command("flag_messages", mailbox, "INBOX", "{n}"),
        "count": [*helper, "count"],
        "flagged": [*helper, "flagged"],
    }
    return {"name": "mailbound", "pids": made.pids, **{key: shlex.join(step) for key, step in steps.items()}}


def _sizes(made: Product) -> str:
    """What the mailbox takes in the database."""
    found = made.rows(
        """SELECT relname, pg_total_relation_size(oid) FROM pg_class
           WHERE relkind = 'r' AND relname LIKE 'mailsync_%%' ORDER BY 2 DESC LIMIT 5"""
    )
    return "database: " + ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in found)


def _head(result: dict[str, Any], options: argparse.Namespace) -> str:
    size = result["corpus"]["bytes_crlf"] / 1e6
    return (
        f"{options.n} messages, {size:.0f} MB, {len(result['corpus']['folders'])} folders, RTT {options.rtt:g} ms, "
        f"{options.reps} repetition(s), {result['machine']}, {result['when']}"
    )


def _ratios(result: dict[str, Any]) -> str:
    lines = []
    for phase in PHASES:
        found, runs = result["summary"][phase], result["runs"]
        rivals = [name for name in ("mbsync", "mbsync-nofsync", "raw1") if name in found]
        ours = found["mailbound"]
        load = max(run["foreign"] for run in runs["mailbound"][phase])
        compared = [
            f"{ours['wall'] / found[rival]['wall']:.2f} / {ours['inner'] / found[rival]['wall']:.2f}"
            for rival in rivals
        ]
        seconds = [f"{found[rival]['wall']:.2f}" for rival in rivals]
        costs = [f"{ours['cpu']:.1f} + {ours['srv']:.1f}", f"{ours['rss'] / 1e6:.0f}", f"{load:.0%}"]
        lines.append([phase, f"{ours['wall']:.2f}", f"{ours['inner']:.2f}", *seconds, *compared, *costs])
    head = ["phase", "whole s", "inside s", *[f"{rival} s" for rival in rivals]]
    head += [f"whole / inside : {rival}" for rival in rivals]
    return table([*head, "CPU ours + PostgreSQL s", "peak MB", "others"], lines)


# What the rig calls between its measurements, with the product's environment.


def _fresh(user: str, port: str) -> None:
    """An empty database with the mailbox connected: every repetition begins with nothing."""
    owner = os.environ["DATABASE_OWNER_URL"]
    rows(owner, "TRUNCATE mailsync_mailbox, mailsync_blob CASCADE")
    shell = Product(Path(), None, None, dict(os.environ))  # type: ignore[arg-type]
    shell.manage(*shell.connecting(f"{user}@bench.example", user, port))


def _number(sql: str) -> None:
    print(rows(os.environ["DATABASE_OWNER_URL"], sql)[0][0])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fresh", user, port]:
            _fresh(user, port)
        case ["count"]:
            _number("SELECT count(*) FROM mailsync_placement")
        case ["flagged"]:
            _number(
                """SELECT count(*) FROM mailsync_placement p JOIN mailsync_folder f ON f.id = p.folder_id
                   WHERE f.special_use = 'inbox' AND p.starred"""
            )
        case _:
            main()
