"""`manage.py create_account NAME --plan … --admin EMAIL --name … --password-env VAR`: a new company."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.management.passwords import password_from, sentences
from plans.founding import found
from plans.subscriptions import UnknownPlanError


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
            admin = found(
                options["account"],
                plan=options["plan"],
                time_zone=options["time_zone"],
                email=options["admin"],
                name=options["name"],
                password=password,
            )
        except UnknownPlanError as error:
            raise CommandError(f"{error} `manage.py load_plans` loads the published ones.") from error
        except ValidationError as error:
            raise CommandError(sentences(error)) from error
        self.stdout.write(f"{admin.account} has the plan {options['plan']}; {options['admin']} may sign in")
        if made:
            self.stdout.write(f"password: {password}")
