"""What matching costs: whole first synchronisations without and with CRM, in turn, of one mailbox on one mail server.

    python benchmarks/matching.py [--n 20000] [--reps 3] [--share 0.01]

Needs the rig. CRM knows 2 000 contacts who wrote nothing and the senders of a hundredth of the letters; with what
belongs to their conversations about one letter in twenty is kept. Each synchronisation begins with an empty mailbox.
What counts is CPU, ours and PostgreSQL's, beside wall time: on a machine that others use, only the former says much.
The bound is 10 %.
"""

import argparse
import resource
from statistics import median

from common import EMPLOYEE, Product, load_rig, mail_server, product

LOGIN = "u1"
ADDRESS = f"{LOGIN}@bench.example"
CONTACTS = 2_000

# Senders, the rarest first, until they have written so many of the letters.
_SENDERS = """
WITH senders AS (
    SELECT lower(sender_address) AS address, count(*) AS letters, max(account_id) AS account_id
    FROM mailsync_message WHERE sender_address LIKE '%%@%%' AND sender_address NOT LIKE '%%@bench.example' GROUP BY 1
), chosen AS (
    SELECT *, sum(letters) OVER (ORDER BY letters, address) AS reached FROM senders
), known AS (
    SELECT address, account_id FROM chosen WHERE reached <= (SELECT sum(letters) FROM senders) * %s
    UNION ALL SELECT 'c' || n || '@client.example', (SELECT max(account_id) FROM senders) FROM generate_series(1, %s) n
), people AS (
    INSERT INTO crm_contact (account_id, name, responsible_id, notes, source, created_at, position, phone)
    SELECT account_id, address, (SELECT id FROM accounts_employee WHERE email = %s), '', 'hand', now(), '', ''
    FROM known RETURNING id, account_id, name
)
INSERT INTO crm_emailaddress (account_id, address, contact_id, active) SELECT account_id, name, id, true FROM people
"""
_FEED = """
WITH feed AS (
    INSERT INTO crm_feed (account_id, mailbox_id, enabled, strangers, turn)
    SELECT account_id, id, true, 'nothing', 0 FROM mailsync_mailbox RETURNING id, account_id, mailbox_id
)
INSERT INTO crm_feedfolder (account_id, feed_id, folder_id)
SELECT f.account_id, feed.id, f.id FROM mailsync_folder f JOIN feed USING (mailbox_id)
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=20_000, help="messages in the mailbox")
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.01, help="of the letters, from people CRM knows")
    options = parser.parse_args()
    with mail_server(options.n, "matching") as (port, _manifest), product() as made:
        _connect(made, port)
        made.sync(ADDRESS)  # the mail server's caches, and the senders
        made.rows(_SENDERS, options.share, CONTACTS, EMPLOYEE)
        found: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
        for _rep in range(options.reps):
            for fed in (False, True):
                found[fed].append(_measured(made, port, fed=fed))
        [(kept,)] = made.rows("SELECT count(*) FROM crm_activity")
    for name, column in (("CPU", 0), ("wall", 1)):
        without, with_crm = (median(run[column] for run in found[fed]) for fed in (False, True))
        share = (with_crm - without) / without
        print(f"{options.n} messages, {name}: {without:.2f} s, with CRM {with_crm:.2f} s: {share:+.1%}")
        print("  each:", {fed: [round(run[column], 2) for run in runs] for fed, runs in found.items()})
    print(f"kept: {kept}")


def _measured(made: Product, port: int, *, fed: bool) -> tuple[float, float]:
    made.rows("TRUNCATE mailsync_mailbox, mailsync_blob CASCADE")
    made.rows("VACUUM")
    _connect(made, port)
    if fed:
        made.rows(_FEED)
    rig, _dovecot = load_rig()
    before = _ours() + sum(rig.cpu_of(pid) for pid in made.pids)
    seconds = made.sync(ADDRESS)["seconds"]
    return _ours() + sum(rig.cpu_of(pid) for pid in made.pids) - before, seconds


def _ours() -> float:
    """Of the commands that have ended, the start of Python included: it is the same in both."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _connect(made: Product, port: int) -> None:
    made.manage(*made.connecting(ADDRESS, LOGIN, port))


if __name__ == "__main__":
    main()
