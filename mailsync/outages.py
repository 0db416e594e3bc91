"""Servers that are down (L14, X27). Hundreds of mailboxes at one would each try it and hold a worker until a timeout.

After a few connections that failed, whoever's mailboxes they were for, one worker in MAIL_PROBE_SECONDS tries the
server for all. Who gets through ends it.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from mailsync import live
from mailsync.models import Mailbox, MailboxState, Outage

FEW = 3  # failures that may be a slip of the line


def of(server: int) -> Outage | None:
    return Outage.objects.filter(server=server).first()


def keeps_away(outage: Outage, now: datetime) -> bool:
    """Whether nobody is to try now; if not, the caller is the one who tries. In a transaction that has the host's lock
    (lanes.has_room)."""
    if outage.failures < FEW:
        return False
    if outage.next_try_at > now:
        return True
    Outage.objects.filter(pk=outage.pk).update(next_try_at=_next_try(now))
    return False


def tell(mailbox_id: int) -> None:
    """Say on the mailbox's pages what others have found; in its account's transaction."""
    well = Mailbox.objects.filter(pk=mailbox_id, state=MailboxState.OK)
    for host in well.values_list("imap_host", flat=True):
        sentence = f"{host} cannot be reached at present. It is tried once a minute for all mailboxes there."
        well.update(state=MailboxState.UNREACHABLE, last_error=sentence, troubled_since=timezone.now())
        live.tell(mailbox_id)


def failed(server: int) -> None:
    """One more connection did."""
    until = _next_try(timezone.now())
    if not Outage.objects.filter(server=server).update(failures=F("failures") + 1, next_try_at=until):
        Outage.objects.bulk_create([Outage(server=server, next_try_at=until)], ignore_conflicts=True)


def end(server: int) -> None:
    """Somebody got through."""
    Outage.objects.filter(server=server).delete()


def _next_try(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.MAIL_PROBE_SECONDS)
