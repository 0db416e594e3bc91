"""manage.py flag_messages ADDRESS FOLDER N: star the N newest messages, through the page's own action."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import tenancy
from mailsync import actions
from mailsync.lookup import NotOneMailbox, find_mailbox
from mailsync.models import Folder, Placement


class Command(BaseCommand):
    """The newest N that have no star yet; the server hears of it at the next synchronisation."""

    help = "Star the N newest messages of a folder that have no star, as its owner would on the page."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("address")
        parser.add_argument("folder", help="its path, for example INBOX")
        parser.add_argument("number", type=int)
        parser.add_argument("--account", default="", help="where the address is connected in several")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            mailbox = find_mailbox(options["address"], account=options["account"])
        except NotOneMailbox as error:
            raise CommandError(str(error)) from None
        with tenancy.acting_for(mailbox.account_id):
            folder = Folder.objects.filter(mailbox=mailbox, path=options["folder"]).first()
            if folder is None:
                raise CommandError(f"{mailbox.address} has no folder {options['folder']!r}.")
            newest = Placement.objects.filter(folder=folder, starred=False).order_by("-received_at", "-id")
            chosen = Placement.objects.filter(
                pk__in=list(newest.values_list("pk", flat=True)[: options["number"]])
            )
            act = actions.set_flags(chosen, add=["\\Flagged"], by=mailbox.owner)
        self.stdout.write(f"{act.count}")
