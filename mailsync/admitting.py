"""The worker's side of connecting for others: test what a row says and connect it, or say why not."""

from django.conf import settings as config
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import tenancy
from mailsync import probing, roles, secrets, transferring
from mailsync.connecting import CannotConnect, Choice, ServerSettings, connect
from mailsync.enrolling import to_do
from mailsync.models import EnrolmentRow, EnrolmentState, Mailbox
from mailsync.presets import Server
from mailsync.probing import Found, ProbeFailed, Subject
from plans.subscriptions import limits_for


def admit(account_id: int, row_id: int) -> None:
    """Carry out one row. One that another worker has, or that is done, is left alone."""
    now = timezone.now()
    with tenancy.acting_for(account_id):
        mine = EnrolmentRow.objects.filter(to_do(now), pk=row_id)
        if not mine.update(state=EnrolmentState.TESTING, tried_at=now):
            return
        row = EnrolmentRow.objects.select_related("owner", "enrolment__by__account").get(pk=row_id)
    with translation.override(row.enrolment.by.language):
        _Admission(row).run()


class _Admission:
    """One row's test, told as it happens."""

    def __init__(self, row: EnrolmentRow) -> None:
        self.row = row
        self.warning = ""

    def run(self) -> None:
        sentence = _("This took too long or went wrong on our side. Try again.")
        try:
            found = probing.examine(self._subject(), self.say)
            with tenancy.acting_for(self.row.account_id), transaction.atomic():
                self._connect(found)
            sentence = ""
        except ProbeFailed as failure:
            sentence = failure.sentence
        except CannotConnect as refusal:
            sentence = refusal.sentence
        finally:
            if sentence:
                self._write(state=EnrolmentState.FAILED, said=sentence)

    def say(self, _key: str, state: str, text: str) -> None:
        if state == "warning":
            self.warning = text
        self._write(said=text)

    def _subject(self) -> Subject:
        kept = self.row.servers
        servers = ServerSettings(
            imap=Server(kept["imap_host"], kept["imap_port"], kept["imap_security"]),
            smtp=Server(kept["smtp_host"], kept["smtp_port"], kept["smtp_security"]),
            login=kept["login"],
        )
        password = secrets.unseal(bytes(self.row.secret), account_id=self.row.account_id)
        return Subject(self.row.address, servers, password, allow_private=config.MAIL_ALLOW_PRIVATE_HOSTS)

    def _connect(self, found: Found) -> Mailbox:
        owner, account = self.row.owner, self.row.enrolment.by.account
        assert owner is not None
        # In the admin's words; connect itself asks again, under the account's lock.
        if reason := transferring.why_no_room(account, owner):
            raise CannotConnect(reason)
        limits = limits_for(account, account.today())
        guessed = roles.guess(found.folders)
        mailbox = connect(
            owner=owner,
            address=self.row.address,
            settings=found.settings,
            sealed=bytes(self.row.secret),
            found=found.folders,
            choice=Choice(
                folders={folder.name for folder in found.folders if folder.worth_syncing},
                roles={role: name for role, name in guessed.items() if role in roles.CHOOSABLE},
            ),
            fetch_days=min(self.row.days or limits.fetch_days, limits.fetch_days),
            by=self.row.enrolment.by,
        )
        EnrolmentRow.objects.filter(pk=self.row.pk).update(
            state=EnrolmentState.CONNECTED, said=self.warning, secret=b"", mailbox=mailbox
        )
        return mailbox

    def _write(self, **columns: object) -> None:
        with tenancy.acting_for(self.row.account_id):
            EnrolmentRow.objects.filter(pk=self.row.pk, state=EnrolmentState.TESTING).update(**columns)
