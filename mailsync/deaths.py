"""Workers that die: of which mailbox, and of which message, told from what they merely had in hand.

Who ends in any way of their own gives the mailbox back, also when told to end. So a lease that ran out was left behind
by a worker that was killed: by the kernel for its memory, by a fault in a library, with its machine. Whoever is left
behind is a suspect until a run of theirs ends by itself, and suspects are tried one at a time: then what kills is alone
when it kills, and who was only there at the same time is cleared, however many there were.

A suspect's messages are fetched one by one, each noted beforehand (storing): of whichever the worker dies, that one is
left out, and the folder goes on. A mailbox of which three workers in a row have died all the same is set aside.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import structlog
from django.db import connection
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import notices
from accounts.models import Employee, NoticeKind, Role
from mailsync import live
from mailsync.mime import process
from mailsync.models import Mailbox, MailboxState, Schedule

log = structlog.get_logger(__name__)

MOST = 3
SECONDS = 15  # for a suspect's run: the next waits for it
_ONE_AT_A_TIME = 0x5B5EC7  # an advisory lock
_CPU_BYTES_A_SECOND = 10 * 1024 * 1024


def has_turn(mailbox_id: int, now: datetime) -> bool:
    """Whether no other suspect is in a worker's hands. Holds the suspects' lock until the commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ONE_AT_A_TIME])
    tried = Schedule.objects.filter(deaths__gt=0, leased_until__gt=now)
    return not tried.exclude(mailbox_id=mailbox_id).exists()


def set_aside(mailbox_id: int) -> None:
    """Say on its pages that nobody works on it any more, and tell owner and admins; in the running transaction."""
    boxes = Mailbox.objects.filter(pk=mailbox_id)
    boxes.filter(troubled_since=None).update(troubled_since=timezone.now())
    sentence = _(
        "Three times in a row the process that synchronised this mailbox was killed while it was at work, so it was "
        "set aside and the others go on. Who runs this installation finds more in the system's log."
    )
    boxes.update(state=MailboxState.SET_ASIDE, last_error=sentence)
    mailbox = boxes.get()
    concerned = Employee.objects.filter(
        Q(pk=mailbox.owner_id) | Q(role=Role.ADMIN), account_id=mailbox.account_id
    )
    told = [(employee, {"address": mailbox.address}) for employee in concerned.filter(is_active=True)]
    notices.tell_each(told, NoticeKind.SET_ASIDE)
    live.tell(mailbox_id)
    log.error("mailbox_set_aside", mailbox=mailbox_id, deaths=MOST)


@contextmanager
def limited_cpu(message_bytes: int) -> Iterator[None]:
    """The process is killed if the block computes for more than 2 s, and one more for each 10 MB.

    By the kernel: no exception reaches into a regular expression that does not end.
    """
    seconds = process.SECONDS + message_bytes / _CPU_BYTES_A_SECOND
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
