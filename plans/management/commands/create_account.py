"""`manage.py create_account NAME --plan … --admin EMAIL --name … --password-env VAR`: a new company."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts import people, tenancy
from accounts.management.passwords import password_from, sentences
from accounts.models import Account, Role
from plans.subscriptions import UnknownPlanError, change_plan


class Command(BaseCommand):
    help = "Makes an account with a plan and its first admin; without --password-env a password is made and printed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", metavar="NAME", help="the company's name")
        parser.add_argument("--plan", required=True, help="professional, standard, basic, trial, …")
        parser.add_argument(
            "--time-zone", default="UTC", metavar="ZONE", help="where its days begin, such as Europe/Berlin"
        )
        parser.add_argument("--admin", required=True, metavar="EMAIL", help="the first admin's address")
        parser.add_argument("--name", required=True, help="the first admin's name")
        parser.add_argument(
            "--password-env", metavar="VAR", help="environment variable that holds the password"
        )

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 (Django's signature)
        password, made = password_from(options["password_env"])
        try:
            account = self._create(options, password)
        except UnknownPlanError as error:
            raise CommandError(f"{error} `manage.py load_plans` loads the published ones.") from error
        except ValidationError as error:
            raise CommandError(sentences(error)) from error
        self.stdout.write(f"{account} has the plan {options['plan']}; {options['admin']} may sign in")
        if made:
            self.stdout.write(f"password: {password}")

    @transaction.atomic
    def _create(self, options: dict[str, Any], password: str) -> Account:
        account = Account(name=options["account"], time_zone=options["time_zone"])
        account.full_clean()
        account.save()
        with tenancy.acting_for(account.pk):
            change_plan(account, options["plan"], on=account.today(), by=None)
            people.add_employee(
                account,
                email=options["admin"],
                name=options["name"],
                role=Role.ADMIN,
                password=password,
                by=None,
            )
        return account
