"""`manage.py seed_demo_tasks`: the demo company's tasks, as soon as the mail that they are about has arrived."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from accounts.models import Account
from demo import chores, company


class Command(BaseCommand):
    help = "Gives the demo company its tasks, once; waits for the mail that they are about."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--within", type=float, default=600, help="seconds until it gives up")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 (Django's signature)
        account = Account.objects.get(name=company.ACCOUNT)
        deadline = time.monotonic() + options["within"]
        while (made := chores.give_out(account, timezone.now())) is None:
            if time.monotonic() > deadline:
                self.stdout.write("The mail of the demo has not arrived; there are no tasks.")
                return
            time.sleep(1)
        self.stdout.write(f"{made} tasks made")
