"""`manage.py rotate_secrets`: after a new key was put in front of MAIL_SECRET_KEYS; then the old one may go."""

from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand

from accounts import tenancy, two_factor
from accounts.models import Account
from mailsync import secrets
from mailsync.models import ConnectionTest, Consent, Mailbox


class Command(BaseCommand):
    help = "Seals every mailbox password, consent and second factor anew, with the first key of MAIL_SECRET_KEYS."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 (Django's signature)
        sealed = 0
        for account_id in Account.objects.order_by("pk").values_list("pk", flat=True):
            # One transaction an account: a run that was interrupted is simply run again.
            with tenancy.acting_for(account_id):
                # Locked: a login that is being repaired meanwhile must not be overwritten with the old one.
                sealed += _seal_anew(Mailbox.objects.exclude(secret=b"").select_for_update(), account_id)
                sealed += _seal_anew(Consent.objects.select_for_update(), account_id)
                sealed += _seal_anew(
                    ConnectionTest.objects.exclude(secret=b"").select_for_update(), account_id
                )
                sealed += two_factor.reseal(account_id)
        self.stdout.write(f"{sealed} secrets sealed with the newest key")


def _seal_anew(
    rows: Iterable[Mailbox] | Iterable[ConnectionTest] | Iterable[Consent], account_id: int
) -> int:
    sealed = 0
    for row in rows:
        secret = secrets.unseal(bytes(row.secret), account_id=account_id)
        row.secret = secrets.seal(secret.reveal(), account_id=account_id)
        row.save(update_fields=["secret"])
        sealed += 1
    return sealed
