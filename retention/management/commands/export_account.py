"""`manage.py export_account NAME --to FOLDER [--with-mail --reason WHY]`: a company as files, for operators.

Without --with-mail it is what an admin gets. With it the mail of every mailbox is there as well: that is for a company
that moves away, and no secret: it is in the audit log before the first byte is written, and each owner is told why.
"""

import json
import time
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.text import slugify

from accounts import audit, notices, tenancy
from accounts.models import Account, NoticeKind
from mailsync import blobs, progress
from mailsync.models import Folder, Mailbox
from retention import archive
from retention.archive import Reached

SAYS = 5.0  # seconds
UNFINISHED = "unfinished.json"


class Command(BaseCommand):
    help = (
        "Writes a company into zip files. Begun again with the same folder, it goes on where it was stopped."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's name")
        parser.add_argument(
            "--to", required=True, type=Path, metavar="FOLDER", help="an empty folder, or a new one"
        )
        parser.add_argument("--with-mail", action="store_true", help="also the mail of every mailbox")
        parser.add_argument(
            "--reason", default="", help="with --with-mail: why; the owners of the mailboxes read it"
        )

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 (Django's signature)
        account = Account.objects.filter(name=options["account"]).first()
        if account is None:
            raise CommandError(f"There is no account named {options['account']!r}.")
        if options["with_mail"] and len(options["reason"].strip()) < 3:
            raise CommandError("Say why with --reason: the owners of the mailboxes are told.")
        folder: Path = options["to"]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        begun = {"account": account.pk, "mail": options["with_mail"]}
        reached, parts = self._taken_up(folder, begun)
        if not parts and reached == Reached():
            _tell(account, with_mail=options["with_mail"], reason=options["reason"].strip())
            _note(folder, begun, reached, parts)
        self._write(account, folder, begun, reached, parts)

    def _taken_up(self, folder: Path, begun: dict[str, Any]) -> tuple[Reached, int]:
        """Where the export that was begun in this folder goes on."""
        try:
            said = json.loads((folder / UNFINISHED).read_text())
        except FileNotFoundError:
            if any(folder.iterdir()):
                raise CommandError(f"{folder} is not empty.") from None
            return Reached(), 0
        if {key: said[key] for key in begun} != begun:
            raise CommandError(f"{folder} holds another export that is not finished.")
        self.stdout.write(f"Goes on after part {said['parts']}.")
        return Reached(*said["reached"]), said["parts"]

    def _write(
        self, account: Account, folder: Path, begun: dict[str, Any], reached: Reached | None, parts: int
    ) -> None:
        with tenancy.acting_for(account.pk):
            folders = list(archive.in_order(Folder.objects.filter(account=account))) if begun["mail"] else []
            total = archive.count(folders, account.pk)
        sections = archive.mail(folders, None) + archive.company(account.pk)
        beat = self._beating(reached.done if reached else 0, total)
        name = slugify(account.name) or "account"
        while reached is not None:
            whole = folder / f"{name}-{parts + 1}.zip"
            unfinished = whole.with_suffix(".unfinished")
            try:
                reached = archive.write_part(unfinished, parts + 1, sections, reached, beat)
            except blobs.BodyLost as error:
                raise CommandError(str(error)) from error
            unfinished.replace(whole)
            parts += 1
            if reached is not None:
                _note(folder, begun, reached, parts)
            self.stdout.write(f"{whole}: {whole.stat().st_size / 2**20:.1f} MB")
        (folder / UNFINISHED).unlink(missing_ok=True)

    def _beating(self, done_before: int, total: int) -> archive.Beat:
        began = last = time.monotonic()

        def beat(done: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last < SAYS:
                return
            last = now
            rate = (done - done_before) / (now - began)
            remaining = progress.left(timedelta(seconds=max(0, total - done) / rate)) if rate else ""
            self.stdout.write(f"{done} of {total}, {rate:.0f} a second, {remaining}")

        return beat


def _note(folder: Path, begun: dict[str, Any], reached: Reached, parts: int) -> None:
    """Whole or not at all: the export goes on by it."""
    new = folder / f"{UNFINISHED}.new"
    new.write_text(json.dumps(begun | {"reached": reached, "parts": parts}))
    new.replace(folder / UNFINISHED)


def _tell(account: Account, *, with_mail: bool, reason: str) -> None:
    with tenancy.acting_for(account.pk):
        audit.record(
            "export.by_operator", account.name, account_id=account.pk, by=None, mail=with_mail, reason=reason
        )
        if with_mail:
            addresses = defaultdict(list)
            boxes = Mailbox.objects.filter(account=account, owner__is_active=True).select_related("owner")
            for box in boxes.order_by("pk"):
                addresses[box.owner].append(box.address)
            told = [
                (owner, {"addresses": ", ".join(theirs), "reason": reason})
                for owner, theirs in addresses.items()
            ]
            notices.tell_each(told, NoticeKind.MAIL_EXPORTED)
