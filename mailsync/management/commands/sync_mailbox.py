"""manage.py sync_mailbox ADDRESS: one whole synchronisation in this process."""

import gc
import json
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts import tenancy
from mailsync import deaths, engine, pushing, schedule
from mailsync.engine import Outcome
from mailsync.lookup import NotOneMailbox, find_mailbox
from mailsync.models import Mailbox, MailboxState, Message, Schedule
from mailsync.schedule import Lease

WAIT_SECONDS = 150  # for a worker that has the mailbox now; longer than a lease
ROUNDS = 100


class Command(BaseCommand):
    """Ends when our side equals the server's; the last line is JSON: messages, seconds (in the engine), wall."""

    help = "Synchronise one mailbox in this process, until it equals the server."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("address")
        parser.add_argument("--account", default="", help="where the address is connected in several")

    def handle(self, *_args: Any, **options: Any) -> None:
        began = time.perf_counter()
        gc.freeze()  # as workers do
        try:
            mailbox = find_mailbox(options["address"], account=options["account"])
        except NotOneMailbox as error:
            raise CommandError(str(error)) from None
        started = time.perf_counter()
        for _round in range(ROUNDS):
            outcome = engine.synchronise(_lease(mailbox), seconds=3600, thorough=True)
            if outcome.error:
                raise CommandError(f"{mailbox.address}: {outcome.error}")
            if outcome.state == MailboxState.PAUSED:
                raise CommandError(
                    f"{mailbox.address}: the account's plan has no sync, or it is disconnected."
                )
            if outcome.state == engine.PARKED:
                raise CommandError(f"{mailbox.address} is parked: the plan has no room for it.")
            if _settled(mailbox, outcome):
                break
        seconds = time.perf_counter() - started
        with tenancy.acting_for(mailbox.account_id):
            messages = Message.objects.filter(mailbox=mailbox, unplaced_since=None).count()
        wall = time.perf_counter() - began
        self.stdout.write(
            json.dumps({"messages": messages, "seconds": round(seconds, 3), "wall": round(wall, 3)})
        )


def _lease(mailbox: Mailbox) -> Lease:
    """Due or not, ours as soon as no worker has it."""
    aside = Schedule.objects.filter(mailbox=mailbox, deaths__gte=deaths.MOST)
    aside.update(deaths=0)  # tried again at a person's word
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        if lease := schedule.claim(mailbox.pk, timezone.now(), even_if_not_due=True, click=True):
            return lease
        time.sleep(0.2)
    raise CommandError(f"{mailbox.address}: another worker has the mailbox and does not give it back.")


def _settled(mailbox: Mailbox, outcome: Outcome) -> bool:
    with tenancy.acting_for(mailbox.account_id):
        return not outcome.again and not pushing.has_work(mailbox.pk)
