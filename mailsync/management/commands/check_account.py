"""`manage.py check_account NAME`: are the account's rows sound?"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Account
from mailsync.consistency import violations


class Command(BaseCommand):
    help = "Checks every invariant of an account's mail; prints each breach and exits with 1 if there is any."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the account's name")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 (Django's signature)
        account = Account.objects.filter(name=options["name"]).first()
        if account is None:
            raise CommandError(f"There is no account named {options['name']!r}.")
        found = violations(account)
        for violation in found:
            self.stdout.write(violation)
        if found:
            raise SystemExit(1)
        self.stdout.write(f"{account} is sound")
