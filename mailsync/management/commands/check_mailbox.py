"""`manage.py check_mailbox ADDRESS [--json]`: is everything here? Compared with the server, in this process."""

import json
import time
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts import tenancy
from mailsync import checking
from mailsync.lookup import NotOneMailbox, find_mailbox
from mailsync.models import FolderCheck, Mailbox, Schedule
from mailsync.sync.ledger import Cause

WAIT_SECONDS = 150  # for a worker that has the mailbox now; longer than a lease


class Command(BaseCommand):
    """The last line is JSON: folders, equal, missing, errors; with --json each folder's differences too."""

    help = "Compares every folder of a mailbox with the server, notes it, and has what is missing fetched."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address")
        parser.add_argument("--account", default="", help="the account's name, if several have the address")
        parser.add_argument("--json", action="store_true", help="one line of JSON for programs")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 (Django's signature)
        try:
            mailbox = find_mailbox(options["address"], account=options["account"])
        except NotOneMailbox as error:
            raise CommandError(str(error)) from error
        began = _began(mailbox)
        until = time.monotonic() + WAIT_SECONDS
        while not checking.check(mailbox.account_id, mailbox.pk):
            if time.monotonic() > until:
                raise CommandError(
                    f"{mailbox.address}: another worker has the mailbox and does not give it back."
                )
            time.sleep(0.2)
        with tenancy.acting_for(mailbox.account_id):
            rows = list(FolderCheck.objects.filter(mailbox=mailbox, at__gte=began).order_by("path"))
        report = report_of(mailbox, rows)
        if options["json"]:
            report["checks"] = [_as_json(row) for row in rows]
        else:
            self.stdout.write("\n".join(_line(row) for row in rows))
        self.stdout.write(json.dumps(report, ensure_ascii=False))


def _began(mailbox: Mailbox) -> datetime:
    """Now, or when the comparison that waits was asked for: this command goes on with it."""
    asked = Schedule.objects.filter(mailbox=mailbox).values_list("check_asked_at", flat=True).first()
    return asked or timezone.now()


def report_of(mailbox: Mailbox, rows: list[FolderCheck]) -> dict[str, Any]:
    """`equal`: folders without any difference; `missing`: messages that nothing explains."""
    return {
        "address": mailbox.address,
        "folders": sum(row.folder_id is not None for row in rows),
        "equal": sum(row.server_count is not None and not row.differences for row in rows),
        "missing": sum(
            each["count"] for row in rows for each in row.differences if each["cause"] == Cause.MISSING
        ),
        "errors": sum(bool(row.error) for row in rows),
    }


def _as_json(row: FolderCheck) -> dict[str, Any]:
    return {
        "folder": row.path,
        "server": row.server_count,
        "here": row.here_count,
        "differences": row.differences,
        "repaired": row.repaired,
        "error": row.error,
    }


def _line(row: FolderCheck) -> str:
    if row.error:
        return f"{row.path or 'the mailbox'}: {row.error}"
    sign = "<>" if row.differences else "="
    causes = ", ".join(f"{each['count']} {each['cause']}" for each in row.differences)
    return f"{row.path}: server {row.server_count} {sign} here {row.here_count}{causes and f' ({causes})'}"
