"""`manage.py change_plan ACCOUNT PLAN [--from DATE]`: another plan for a company, today or from a day on."""

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import tenancy
from accounts.models import Account
from plans.models import Subscription
from plans.subscriptions import UnknownPlanError, change_plan


class Command(BaseCommand):
    help = (
        "Changes an account's plan from a day on and drops what was planned for later; a trial ends by itself. "
        "Nothing is purged at once: the shorter rule holds from the next night."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's name")
        parser.add_argument("plan", help="professional, standard, basic, trial, free, …")
        parser.add_argument(
            "--from",
            dest="day",
            metavar="DATE",
            type=_day,
            help="the first day, YYYY-MM-DD; today unless given",
        )

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 (Django's signature)
        account = Account.objects.filter(name=options["account"]).first()
        if account is None:
            raise CommandError(f"There is no account named {options['account']!r}.")
        today = account.today()
        day = options["day"] or today
        if day < today:
            raise CommandError(
                f"At {account} it is {today}: the plan of a day that is over cannot be changed."
            )
        with tenancy.acting_for(account.pk):
            try:
                change_plan(account, options["plan"], on=day, by=None)
            except UnknownPlanError as error:
                raise CommandError(str(error)) from error
            for row in Subscription.objects.filter(account=account).order_by("starts_on"):
                until = f"until {row.ends_on}, exclusive" if row.ends_on else "open"
                self.stdout.write(f"{row.plan} from {row.starts_on}, {until}")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"{text!r} is no date: write it as 2027-05-01.") from error
