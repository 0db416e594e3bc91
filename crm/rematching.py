"""Matching again what is here already: after somebody got an address, or a mailbox began to feed CRM.

Works in small transactions and can be stopped at any point: what was done is in the row, what is left is asked anew.
Strangers of the past make no records.
"""

from collections import defaultdict
from collections.abc import Collection
from datetime import timedelta

from celery import current_app
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import tenancy
from accounts.models import Employee
from crm import arrivals, directory, known, letters
from crm.kinds import kind_of
from crm.models import Company, Feed, Record, Rematch

BATCH = 100
SHOWN = timedelta(minutes=2)  # after that nobody asks whether their change was heard

# Messages in folders that feed, not with CRM yet and not decided about alone. `@domain` among the addresses means
# everybody there. Recipients are looked up in the text of their JSON: it is a bulk job, and the list is narrowed first.
_CANDIDATES = """
SELECT DISTINCT m.id, f.mailbox_id
FROM crm_feed f
JOIN crm_feedfolder ff ON ff.feed_id = f.id
JOIN mailsync_placement p ON p.folder_id = ff.folder_id
JOIN mailsync_message m ON m.id = p.message_id
WHERE f.account_id = %(account)s AND f.enabled AND (%(mailbox)s::bigint IS NULL OR f.mailbox_id = %(mailbox)s)
AND m.id > %(after)s
AND (%(any)s OR lower(m.sender_address) LIKE ANY(%(patterns)s) OR lower(m.recipients::text) LIKE ANY(%(within)s))
AND NOT EXISTS (SELECT FROM crm_activitycopy c JOIN crm_activity a ON a.id = c.activity_id
                WHERE c.message_id = m.id AND (a.unbound_at IS NULL OR a.decided_at IS NOT NULL))
ORDER BY m.id
"""


def ask(by: Employee, *, addresses: Collection[str] = (), mailbox_id: int | None = None) -> Rematch | None:
    """Have the mail of these addresses (or of the mailbox) matched again by a worker; None where nothing feeds CRM."""
    if not Feed.objects.filter(account_id=by.account_id, enabled=True).exists():
        return None
    wish = Rematch.objects.create(
        account_id=by.account_id, by=by, addresses=sorted(addresses), mailbox_id=mailbox_id
    )
    transaction.on_commit(lambda: hint(wish.account_id, wish.pk))
    return wish


def hint(account_id: int, rematch_id: int) -> None:
    """Redis down is no error here: crm.tick comes again."""
    try:
        current_app.send_task("crm.rematch", args=[account_id, rematch_id], queue="bulk", retry=False)
    except OperationalError:
        return


def running_for(record: Record, employee: Employee) -> Rematch | None:
    """What the employee's change of this record's addresses has a worker look through, while it is of interest."""
    if not kind_of(record).has_addresses:
        return None
    names = directory.addresses_of(record) + ([f"@{record.domain}"] if isinstance(record, Company) else [])
    recent = Rematch.objects.filter(
        by=employee, asked_at__gt=timezone.now() - SHOWN, addresses__overlap=names
    )
    return recent.order_by("-pk").first() if names else None


def unfinished(account_id: int) -> list[int]:
    return list(Rematch.objects.filter(account_id=account_id, finished_at=None).values_list("pk", flat=True))


def run(account_id: int, rematch_id: int) -> None:
    """Until nothing is left, or another worker is at it."""
    with tenancy.acting_for(account_id):
        wish = (
            Rematch.objects.select_for_update(skip_locked=True)
            .filter(pk=rematch_id, finished_at=None)
            .first()
        )
        if wish is None:
            return
        left = _candidates(wish)
        wish.total = wish.done + len(left)
        wish.save(update_fields=["total"])
    for start in range(0, len(left), BATCH):
        if not _batch(account_id, rematch_id, left[start : start + BATCH]):
            return
    with tenancy.acting_for(account_id):
        Rematch.objects.filter(pk=rematch_id).update(finished_at=timezone.now())


def _candidates(wish: Rematch) -> list[tuple[int, int]]:
    """(message, mailbox), in the order in which they came."""
    escaped = [
        address.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") for address in wish.addresses
    ]
    values = {
        "account": wish.account_id,
        "mailbox": wish.mailbox_id,
        "after": wish.after,
        "any": not wish.addresses,
        "patterns": [f"%{address}" if address.startswith("@") else address for address in escaped],
        "within": [f'%{address}"%' if address.startswith("@") else f'%"{address}"%' for address in escaped],
    }
    with connection.cursor() as cursor:
        cursor.execute(_CANDIDATES, values)
        return list(cursor.fetchall())


def _batch(account_id: int, rematch_id: int, rows: list[tuple[int, int]]) -> bool:
    """One transaction: what was found, and how far it went. False where another worker has gone there already."""
    with tenancy.acting_for(account_id):
        wish = Rematch.objects.select_for_update(skip_locked=True).filter(
            pk=rematch_id, after__lt=rows[0][0], finished_at=None
        )
        if not wish.exists():
            return False
        found = 0
        for feed, ids in _by_feed(rows):
            own = known.own(account_id)
            found += arrivals.keep(feed, list(letters.stored(ids, own=own)), own=own, create=False)
        Rematch.objects.filter(pk=rematch_id).update(
            after=rows[-1][0], done=F("done") + len(rows), found=F("found") + found
        )
    return True


def _by_feed(rows: list[tuple[int, int]]) -> list[tuple[Feed, list[int]]]:
    ids: dict[int, list[int]] = defaultdict(list)
    for message_id, mailbox_id in rows:
        ids[mailbox_id].append(message_id)
    feeds = Feed.objects.filter(mailbox_id__in=ids, enabled=True).select_related("mailbox__owner")
    return [(feed, ids[feed.mailbox_id]) for feed in feeds]
