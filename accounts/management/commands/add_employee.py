"""`manage.py add_employee ACCOUNT EMAIL --name … --password-env VAR`: one more person who may sign in."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import people, tenancy
from accounts.management.passwords import password_from, sentences
from accounts.models import Account, Role


class Command(BaseCommand):
    help = "Adds an employee to an account; without --password-env a password is made and printed once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's name")
        parser.add_argument("email")
        parser.add_argument("--name", required=True, help="the person's name")
        parser.add_argument("--role", choices=Role.values, default=Role.EMPLOYEE)
        parser.add_argument(
            "--password-env", metavar="VAR", help="environment variable that holds the password"
        )

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 (Django's signature)
        account = Account.objects.filter(name=options["account"]).first()
        if account is None:
            raise CommandError(f"There is no account named {options['account']!r}.")
        password, made = password_from(options["password_env"])
        try:
            with tenancy.acting_for(account.pk):
                employee = people.add_employee(
                    account,
                    email=options["email"],
                    name=options["name"],
                    role=options["role"],
                    password=password,
                    by=None,
                )
        except ValidationError as error:
            raise CommandError(sentences(error)) from error
        self.stdout.write(f"{employee.email} may sign in at {account}")
        if made:
            self.stdout.write(f"password: {password}")
