"""`manage.py set_operator EMAIL [--revoke]`: who may edit the rows of plans in the browser."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts import audit, tenancy
from accounts.models import Employee


class Command(BaseCommand):
    help = (
        "Lets somebody who can sign in edit plans under /operate/. Take a person of a company of your own: "
        "its admins can renew their password (which ends the right)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="the address they sign in with")
        parser.add_argument("--revoke", action="store_true", help="take the right back")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 (Django's signature)
        email, may = options["email"].strip().lower(), not options["revoke"]
        with transaction.atomic():  # the look across the wall lasts as long as a transaction
            account_id = tenancy.account_of_address(email)
        if account_id is None:
            raise CommandError(f"Nobody signs in as {email!r}; `manage.py add_employee` adds somebody.")
        with tenancy.acting_for(account_id):
            if Employee.objects.filter(email=email).exclude(is_operator=may).update(is_operator=may):
                verb = "operator.made" if may else "operator.ended"
                audit.record(verb, email, account_id=account_id, by=None)
        self.stdout.write(f"{email} {'may' if may else 'may not'} edit plans")
