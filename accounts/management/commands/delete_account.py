"""`manage.py delete_account ACCOUNT [--call-off]`: what an admin of the company can do on its settings page."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import ending, tenancy
from accounts.models import Account


class Command(BaseCommand):
    help = (
        "Has a company deleted with everything in it, 30 days from now; its admins are told. Mail servers are not "
        "touched. The database keeps the waiting time: no option shortens it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's name")
        parser.add_argument("--call-off", action="store_true", help="keep the company")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 (Django's signature)
        account = Account.objects.filter(name=options["account"]).first()
        if account is None:
            raise CommandError(f"There is no account named {options['account']!r}.")
        with tenancy.acting_for(account.pk):
            if options["call_off"]:
                if not ending.call_off(account.pk, by=None):
                    raise CommandError(f"Nothing is planned for {account}, or its deletion has begun.")
                self.stdout.write(f"{account} stays")
                return
            ending.plan(account.pk, by=None)
        account.refresh_from_db()
        self.stdout.write(f"{account} is deleted on {account.deletes_at:%Y-%m-%d %H:%M} UTC")
