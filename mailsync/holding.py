"""What the sync keeps although the server no longer shows it, until a person says what to do (sync.brake)."""

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from accounts import audit
from accounts.models import Employee
from mailsync import schedule
from mailsync.models import Folder, Placement, SpecialUse
from mailsync.models.folder import to_be_compared
from mailsync.sync.brake import Brake, Verdict, judge

# Folders that are emptied in the course of things.
ORDINARY = {SpecialUse.TRASH, SpecialUse.JUNK}


def purge_waits(mailbox_id: int) -> bool:
    """Whether nothing may be purged from this mailbox: its server shows much less than we hold, or was exchanged and
    not read since, and nobody has said yet that this is right. Inside a transaction of the account."""
    undecided = Q(held_back__gt=0) | Q(brake=Brake.WARY)
    return Folder.objects.filter(undecided, mailbox=mailbox_id, syncing=True).exists()


def verdict(folder: Folder, vanishing: int, placements: int) -> Verdict:
    """Judge, and write down in the folder's row, which the caller has locked, what is held back or no longer is."""
    found = judge(
        vanishing,
        placements,
        before=folder.held_back,
        brake=Brake(folder.brake),
        ordinary=folder.special_use in ORDINARY,
    )
    if found is not Verdict.FOLLOW:
        _write(
            folder,
            held_back=vanishing,
            error=f"The server suddenly shows {vanishing} of {placements} messages fewer. They are kept here.",
        )
    elif folder.held_back or folder.brake:
        _write(folder, held_back=0, brake=Brake.USUAL, error="")
    return found


def may_go(folder: Folder) -> bool:
    """Whether a folder that the server no longer has may go here, too, with what is in it.

    To be asked in each run: what another program renamed has its places under the new name after the first.
    """
    if verdict(folder, _only_in(folder), folder.total) is Verdict.FOLLOW:
        return True
    _write(folder, **to_be_compared())  # should it come back, all of it is compared
    return False


@transaction.atomic
def answer(folder: Folder, brake: Brake, *, by: Employee) -> bool:
    """Keep what the server no longer shows, or follow the server; False where nothing is held any more."""
    schedule.lock([folder.mailbox_id])
    held = Folder.objects.select_for_update().filter(pk=folder.pk, held_back__gt=0).first()
    if held is None:
        return False
    _write(held, brake=brake, **to_be_compared())
    audit.record(
        "mailbox.loss_followed" if brake == Brake.FOLLOW else "mailbox.loss_kept",
        folder.mailbox.address,
        account_id=folder.account_id,
        by=by,
        folder=folder.path,
        messages=held.held_back,
    )
    schedule.wake(folder.mailbox_id)
    return True


def _only_in(folder: Folder) -> int:
    """How many of its messages the server shows in no other folder."""
    shown = Placement.objects.filter(message=OuterRef("message"), uid__isnull=False, folder__syncing=True)
    return folder.placements.exclude(Exists(shown.exclude(folder=folder))).count()


def _write(folder: Folder, **columns: object) -> None:
    for name, value in columns.items():
        setattr(folder, name, value)
    folder.save(update_fields=[*columns])
