"""What changes at a mailbox that is connected: its login, its folders, its sender; and letting it go.

Nothing here speaks to a mail server: what a repair takes over was tested by a worker (probing.py).
"""

from collections.abc import Collection, Mapping

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import audit
from accounts.models import Employee
from mailsync import roles, schedule, unread
from mailsync.connecting import (
    CannotConnect,
    ServerSettings,
    refuse_if,
    settings_of,
    use_up,
    use_up_tests_of,
    why_not_roles,
)
from mailsync.models import ConnectionTest, Consent, Mailbox, MailboxState, Message, Schedule
from mailsync.models.folder import no_cursors, to_be_compared
from mailsync.roles import FoundFolder
from mailsync.sync.brake import Brake


class OtherServer(CannotConnect):
    """The server does not hold the mail that we know; nothing was changed. `differing` names folders, of `known`."""

    def __init__(self, host: str, differing: list[str], known: int) -> None:
        sentence = ngettext(
            "%(host)s does not hold the mail we knew: %(n)d folder of %(known)d differs.",
            "%(host)s does not hold the mail we knew: %(n)d folders of %(known)d differ.",
            len(differing),
        )
        super().__init__(sentence % {"host": host, "n": len(differing), "known": known})
        self.differing = differing


@transaction.atomic
def repair(
    mailbox: Mailbox, test: ConnectionTest, *, by: Employee | None, even_if_other: bool = False
) -> None:
    """Take servers, login and password from a passed test. Folders, copies and links stay as they are.

    Raises OtherServer where that would be a server with other mail; with `even_if_other` it is taken, and what it
    does not hold stays here until a person decides (mailsync.holding).
    """
    # Before the mailbox's row, as every writer does: from here on nobody transfers it or lets it go.
    schedule.lock([mailbox.pk])
    test.refresh_from_db(fields=["state", "secret", "consent"])
    if not Mailbox.objects.filter(pk=mailbox.pk, disconnected_at=None).exists():
        raise CannotConnect(_("Test the connection first."))
    if test.state != "passed" or test.mailbox_id != mailbox.pk or test.address != mailbox.address:
        raise CannotConnect(_("Test the connection first."))
    is_other = _is_other_server(mailbox, test, accepted=even_if_other)
    # The operator allowed those hosts, not whatever is typed later.
    same = (mailbox.imap_host, mailbox.smtp_host) == (test.imap_host, test.smtp_host)
    replace_login(
        mailbox,
        settings_of(test),
        bytes(test.secret),
        consent=test.consent,
        by=by,
        private_host_allowed=mailbox.private_host_allowed and same,
    )
    if is_other:
        # Each is read whole, also one that looks as before.
        mailbox.folders.filter(syncing=True).update(brake=Brake.WARY, **to_be_compared())
        unread.begin_anew(mailbox.pk)
        audit.record(
            "mailbox.server_exchanged",
            mailbox.address,
            account_id=mailbox.account_id,
            by=by,
            before=f"{mailbox.imap_host}:{mailbox.imap_port}",
        )
    use_up(test)


def _is_other_server(mailbox: Mailbox, test: ConnectionTest, *, accepted: bool) -> bool:
    """Whether the test found other folders, or others under the same names. Raises OtherServer unless accepted."""
    if (mailbox.imap_host, mailbox.imap_port, mailbox.login) == (test.imap_host, test.imap_port, test.login):
        return False
    there = {found.name: found.uidvalidity for found in map(FoundFolder.from_json, test.found)}
    ours = mailbox.folders.filter(syncing=True, selectable=True, total__gt=0).order_by("path")
    known = [folder for folder in ours if folder.uidvalidity is not None]
    # None where the server did not say it: then its name has to do.
    differing = [
        folder.path for folder in known if there.get(bytes(folder.name), 0) not in (None, folder.uidvalidity)
    ]
    if differing and not accepted:
        raise OtherServer(test.imap_host, differing, len(known))
    return bool(differing)


@transaction.atomic
def replace_login(
    mailbox: Mailbox,
    settings: ServerSettings,
    sealed: bytes,
    *,
    consent: Consent | None = None,
    by: Employee | None,
    private_host_allowed: bool,
) -> None:
    """Other servers, login, password or consent, proven to work; the trouble is over and the mailbox awake.

    One that an admin paused stays so and goes on saying it.
    """
    schedule.lock([mailbox.pk])
    row = Mailbox.objects.filter(pk=mailbox.pk)
    row.update(
        **settings.columns(), secret=sealed, consent=consent, private_host_allowed=private_host_allowed
    )
    row.filter(paused_at=None).update(
        state=MailboxState.OK if mailbox.synced_at else MailboxState.NEW,
        last_error="",
        troubled_since=None,
    )
    schedule.start_anew(mailbox.pk)
    audit.record(
        "mailbox.repaired",
        mailbox.address,
        account_id=mailbox.account_id,
        by=by,
        imap=f"{settings.imap.host}:{settings.imap.port}",
    )


@transaction.atomic
def set_folders(
    mailbox: Mailbox,
    chosen: Collection[int],
    role_ids: Mapping[str, int],
    *,
    shown: Collection[int] | None = None,
    by: Employee,
) -> None:
    """Choose folders (by id) to sync and their roles. The copies of a folder switched off leave by a job.

    Only those that were `shown`, by default all, are switched off or lose their role: of a folder that came since the
    page was opened, nothing was said.
    """
    schedule.lock([mailbox.pk])  # before the folders, as every other writer does
    folders = {folder.pk: folder for folder in mailbox.folders.filter(deleting=False).select_for_update()}
    shown = folders.keys() if shown is None else shown
    fixed = [f.pk for f in folders.values() if f.special_use and f.special_use not in roles.CHOOSABLE]
    refuse_if(why_not_roles(role_ids, fixed))
    wanted = {pk for pk in chosen if pk in folders and folders[pk].selectable}
    if not wanted:
        raise CannotConnect(_("Choose at least one folder."))
    on = {pk for pk, folder in folders.items() if folder.syncing and folder.selectable}
    off = sorted(on & set(shown) - wanted)
    mailbox.folders.filter(pk__in=off).update(syncing=False, **no_cursors())
    mailbox.folders.filter(pk__in=wanted).update(syncing=True)
    given_back = Q(pk__in=shown) | Q(special_use__in=role_ids)
    mailbox.folders.filter(given_back, special_use__in=roles.CHOOSABLE).update(special_use="")
    for role, pk in role_ids.items():
        if role in roles.CHOOSABLE and pk in folders:
            mailbox.folders.filter(pk=pk).update(special_use=role)
    if off:
        _let_go(mailbox)
    schedule.wake(mailbox.pk)
    audit.record(
        "mailbox.folders_chosen",
        mailbox.address,
        account_id=mailbox.account_id,
        by=by,
        folders=len(wanted),
        switched_off=[folders[pk].path for pk in off],
    )


@transaction.atomic
def introduce(mailbox: Mailbox, *, name: str, aliases: list[list[str]], signature: str, by: Employee) -> None:
    """The name that recipients see, the addresses besides, what stands below each letter."""
    Mailbox.objects.filter(pk=mailbox.pk).update(sender_name=name, aliases=aliases, signature=signature)
    others = ", ".join(address for _name, address in aliases)
    audit.record(
        "mailbox.sender_renamed",
        mailbox.address,
        account_id=mailbox.account_id,
        by=by,
        name=name,
        aliases=others,
    )


@transaction.atomic
def disconnect(mailbox: Mailbox, *, by: Employee | None) -> int:
    """Stop the sync, forget password or consent, let a job remove the copies; returns how many messages leave.

    Settings, folders, grants and bound messages stay for a return. The mail server is not touched.
    """
    schedule.lock([mailbox.pk])
    leaving = Message.objects.filter(mailbox=mailbox).free().count()
    Mailbox.objects.filter(pk=mailbox.pk).update(
        disconnected_at=timezone.now(),
        state=MailboxState.PAUSED,
        secret=b"",
        consent=None,
        last_error="",
        troubled_since=None,
    )
    if mailbox.consent_id:
        schedule.hint_forgetting(
            mailbox.account_id, mailbox.consent_id
        )  # lost, it is made up for by drop_old_tests
    use_up_tests_of(mailbox)
    mailbox.folders.update(**no_cursors())
    Schedule.objects.filter(mailbox=mailbox).update(due_at=None)
    _let_go(mailbox)
    audit.record(
        "mailbox.disconnected", mailbox.address, account_id=mailbox.account_id, by=by, messages=leaving
    )
    return leaving


@transaction.atomic
def disconnect_all(mailboxes: Collection[Mailbox], *, by: Employee | None) -> int:
    """The same for several, or for none; each is locked before the first is changed, in the order of every writer."""
    schedule.lock(box.pk for box in mailboxes)
    return sum(disconnect(box, by=by) for box in mailboxes)


def _let_go(mailbox: Mailbox) -> None:
    """End a sync that runs now (it would store into what is leaving) and send the job that discards."""
    Schedule.objects.filter(mailbox=mailbox).update(epoch=F("epoch") + 1, leased_until=None)
    schedule.hint_discarding(mailbox.account_id, mailbox.pk)
