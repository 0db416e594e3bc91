"""`manage.py seed_demo`: the demo company and its mail, as far as they are missing."""

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from demo import seeding


class Command(BaseCommand):
    help = "Makes the demo company and puts its mail on a mail server whose logins exist."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--imap", required=True, metavar="HOST:PORT", help="without TLS, so only for a trial"
        )
        parser.add_argument("--smtp-port", type=int, required=True)
        parser.add_argument(
            "--password-env", default="DEMO_PASSWORD", help="names the variable with the password"
        )

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 (Django's signature)
        name, _, port = options["imap"].rpartition(":")
        password = os.environ[options["password_env"]]
        host = seeding.MailHost(name, int(port), options["smtp_port"], password)
        put = seeding.fill_mailboxes(host, now=timezone.now())
        account = seeding.found_company(host, today=timezone.localdate())
        self.stdout.write(f"{account.name}: {put} letters put on {options['imap']}")
