"""`manage.py rotate_secrets`: after a new key was put in front of MAIL_SECRET_KEYS; then the old one may go."""

from collections.abc import Iterator
from time import sleep
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import sealing, tenancy, two_factor
from accounts.models import Account
from mailsync import secrets
from mailsync.models import ConnectionTest, Consent, EnrolmentRow, Mailbox

SEALED = (Mailbox, Consent, ConnectionTest, EnrolmentRow)
BATCH = 200
# Rows that somebody else holds are left for the next round, a second later.
ROUNDS = 30

Row = Mailbox | Consent | ConnectionTest | EnrolmentRow


class Command(BaseCommand):
    help = (
        "Seals every mailbox password, consent and second factor anew, with the first key of MAIL_SECRET_KEYS. "
        "Every process must know that key already. May be stopped and run again at any time."
    )

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 (Django's signature)
        self.sealed = 0
        self.unreadable: set[str] = set()
        accounts = list(Account.objects.order_by("pk").values_list("pk", flat=True))
        for _round in range(ROUNDS):
            for account_id in accounts:
                self._seal_account(account_id)
            left = sum(_older(account_id) for account_id in accounts) - len(self.unreadable)
            if left <= 0:
                break
            sleep(1)
        else:
            raise CommandError(
                f"{left} secrets are in use by somebody else all the time: run it again later."
            )
        self.stdout.write(f"{self.sealed} secrets sealed with the newest key")
        if self.unreadable:
            raise CommandError(
                "None of the keys opens these, their passwords must be typed again: "
                + ", ".join(sorted(self.unreadable))
            )

    def _seal_account(self, account_id: int) -> None:
        for model in SEALED:
            last = 0
            while True:
                # One transaction a batch: whoever repairs a login or refreshes a consent waits for no more than that.
                with tenancy.acting_for(account_id):
                    rows = _rows(model, last)
                    self._seal(model, rows, account_id)
                if not rows:
                    break
                last = rows[-1].pk
        with tenancy.acting_for(account_id):
            self.sealed += two_factor.reseal(account_id)

    def _seal(self, model: type[Row], rows: list[Row], account_id: int) -> None:
        """Locked first, read then: a password that is changed at this moment is not overwritten with the old one."""
        wanted = [row.pk for row in rows if not sealing.is_newest(bytes(row.secret))]
        held = model._default_manager.select_for_update(no_key=True, skip_locked=True, of=("self",))
        sealed = []
        for row in held.filter(pk__in=wanted):
            try:
                secret = secrets.unseal(bytes(row.secret), account_id=account_id)
            except secrets.WrongKeyError:
                self.unreadable.add(f"{model.__name__} {row.pk}")
                continue
            row.secret = secrets.seal(secret.reveal(), account_id=account_id)
            sealed.append(row)
        model._default_manager.bulk_update(sealed, ["secret"])  # type: ignore[arg-type]
        before, self.sealed = self.sealed, self.sealed + len(sealed)
        if before // 1000 != self.sealed // 1000:
            self.stdout.write(f"{self.sealed} so far")


def _rows(model: type[Row], after: int) -> list[Row]:
    """The next ones by their keys, without a look at what else is in them."""
    rows = model._default_manager.filter(pk__gt=after).exclude(secret=b"").order_by("pk")
    return list(rows.only("pk", "secret")[:BATCH])


def _older(account_id: int) -> int:
    """How many secrets of the account are not sealed with the newest key."""
    with tenancy.acting_for(account_id):
        return sum(not sealing.is_newest(token) for model in SEALED for token in _tokens(model))


def _tokens(model: type[Row]) -> Iterator[bytes]:
    rows = model._default_manager.exclude(secret=b"")
    for token in rows.values_list("secret", flat=True).iterator(chunk_size=1000):
        yield bytes(token)
