"""What nobody needs any more: bodies that nothing refers to, tombstones and operations whose time is over.

A body goes when it was found loose twice, a day apart; whoever begins to need it meanwhile keeps it. Batch by batch,
restartable anywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, ManyToOneRel, Max, OuterRef, QuerySet
from django.db.models.deletion import PROTECT
from django.db.models.functions import TruncSecond

from accounts import tenancy
from mailsync import blobs, events
from mailsync.models import Blob, Operation, OperationState, Tombstone
from plans.models import PlanLimits
from retention.models import LooseBlob
from retention.policy import DAY

BATCH = 2000
OVER = (OperationState.DONE, OperationState.FAILED, OperationState.VOID)


@dataclass(slots=True)
class Swept:
    """How many rows went."""

    blobs: int = 0
    tombstones: int = 0
    operations: int = 0


def sweep(account_id: int, now: datetime) -> Swept:
    swept = Swept()
    while batch := _drop_blobs(account_id, now):
        swept.blobs += batch
    _mark_blobs(account_id, now)
    with tenancy.acting_for(account_id):
        swept.tombstones = _drop_tombstones(account_id, now)
        old = Operation.objects.filter(
            account=account_id, state__in=OVER, finished_at__lt=events.kept_since(now)
        )
        swept.operations = old._raw_delete("default")
    return swept


def _drop_blobs(account_id: int, now: datetime) -> int:
    """One batch of those that were found loose a day ago; returns how many marks are off, and the bodies with them
    unless somebody took them up."""
    with tenancy.acting_for(account_id):
        due = LooseBlob.objects.filter(account=account_id, since__lte=now - DAY).order_by("pk")
        marks = dict(due.values_list("blob_id", "pk")[:BATCH])
        locked = Blob.objects.filter(pk__in=marks).order_by("pk").select_for_update(skip_locked=True)
        held = list(locked.values_list("pk", flat=True))
        loose = list(_loose(Blob.objects.filter(pk__in=held)).values("pk", "account_id", "digest", "content"))
        LooseBlob.objects.filter(pk__in=marks.values())._raw_delete("default")
        gone = Blob.objects.filter(pk__in=[row["pk"] for row in loose])
        gone._raw_delete("default")
    for row in loose:
        if row["content"] is None:
            blobs.remove_file(account_id, bytes(row["digest"]), untouched_since=now - timedelta(hours=1))
    return len(marks)


def _mark_blobs(account_id: int, now: datetime) -> None:
    after = 0
    while True:
        with tenancy.acting_for(account_id):
            ids = list(
                Blob.objects.filter(account=account_id, pk__gt=after)
                .order_by("pk")
                .values_list("pk", flat=True)[:BATCH]
            )
            if not ids:
                return
            loose = _loose(Blob.objects.filter(pk__in=ids)).values_list("pk", flat=True)
            LooseBlob.objects.bulk_create(
                (LooseBlob(account_id=account_id, blob_id=pk, since=now) for pk in loose),
                ignore_conflicts=True,
            )
        after = ids[-1]


def _loose(found: QuerySet[Blob]) -> QuerySet[Blob]:
    """Those that no row refers to; who needs a body says so by a key that PROTECTs it."""
    for relation in _holders():
        rows = relation.related_model._base_manager.filter(**{relation.field.name: OuterRef("pk")})
        found = found.exclude(Exists(rows))
    return found


def _holders() -> Iterator[ManyToOneRel]:
    for relation in Blob._meta.get_fields(include_hidden=True):
        if isinstance(relation, ManyToOneRel) and relation.on_delete is PROTECT:
            yield relation


def _drop_tombstones(account_id: int, now: datetime) -> int:
    """Of mail so old that no plan would fetch it. Where the server tells no date they stay, and where an operator
    lets a mailbox reach further."""
    longest = PlanLimits.objects.aggregate(days=Max("storage_days"))["days"] or 0
    rows = Tombstone.objects.filter(
        account=account_id,
        mailbox__fetch_beyond_plan=False,
        received_at=TruncSecond("received_at"),  # sync.state.is_undated
        received_at__lt=now - (longest + 1) * DAY,
    )
    return Tombstone.objects.filter(pk__in=rows.values("pk")).delete()[0]
