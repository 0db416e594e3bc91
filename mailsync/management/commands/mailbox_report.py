"""`manage.py mailbox_report ADDRESS [--json]`: what the replica of a mailbox holds, folder by folder."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Count, Q

from accounts import tenancy
from mailsync.lookup import NotOneMailbox, find_mailbox
from mailsync.models import Folder, Mailbox


class Command(BaseCommand):
    help = (
        "Counts messages, unseen and flagged in each folder that is synchronised, without asking the server."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address")
        parser.add_argument("--account", default="", help="the account's name, if several have the address")
        parser.add_argument("--json", action="store_true", help="one line of JSON for programs")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 (Django's signature)
        try:
            mailbox = find_mailbox(options["address"], account=options["account"])
        except NotOneMailbox as error:
            raise CommandError(str(error)) from error
        report = report_of(mailbox)
        self.stdout.write(json.dumps(report, ensure_ascii=False) if options["json"] else _as_table(report))


def report_of(mailbox: Mailbox) -> dict[str, Any]:
    """Placements are counted, not read from the kept counters: the report is there to compare."""
    synchronised = Folder.objects.filter(mailbox=mailbox, syncing=True, selectable=True).order_by("path")
    with tenancy.acting_for(mailbox.account_id):
        folders = [
            {
                "name": folder.path,
                "uidvalidity": folder.uidvalidity,
                "messages": folder.messages,
                "unseen": folder.not_seen,
                "flagged": folder.flagged,
            }
            for folder in synchronised.annotate(
                messages=Count("placements"),
                not_seen=Count("placements", filter=Q(placements__seen=False)),
                flagged=Count("placements", filter=Q(placements__starred=True)),
            )
        ]
    return {"address": mailbox.address, "state": mailbox.state, "folders": folders}


def _as_table(report: dict[str, Any]) -> str:
    lines = [
        f"{report['address']}: {report['state']}",
        f"{'messages':>9} {'unseen':>9} {'flagged':>9}  folder",
    ]
    for folder in report["folders"]:
        counts = [f"{folder[key]:>9}" for key in ("messages", "unseen", "flagged")]
        lines.append(f"{' '.join(counts)}  {folder['name']}")
    return "\n".join(lines)
