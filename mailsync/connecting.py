"""Connecting an address: what the plan allows, the test of what was typed, the mailbox that comes of it.

Nothing here speaks to a mail server: `start_test` asks a worker (probing.py) and the page watches the row.
The plan's limits are asked on every call, inside the transaction that writes, so two tabs cannot pass both.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from celery import current_app
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from kombu.exceptions import OperationalError

from accounts import audit, tenancy
from accounts.models import Account, Employee
from mailsync import roles, schedule, unread
from mailsync.models import (
    FOLDER_KINDS,
    ConnectionTest,
    Consent,
    Folder,
    Mailbox,
    MailboxGrant,
    MailboxState,
    Operation,
    OperationState,
    Schedule,
    Security,
)
from mailsync.models.folder import no_cursors
from mailsync.oauth import Provider
from mailsync.presets import Server
from mailsync.roles import FoundFolder
from plans.limits import Limits
from plans.offers import ask_admin, or_ask_admin, plan_name, with_more
from plans.subscriptions import limits_for

TEST_LIVES = timedelta(days=1)
NO_SERVER = Server("", 465, Security.TLS)


class CannotConnect(Exception):
    """The plan, a rule or another mailbox is in the way; `sentence` tells a person which and what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where and as whom. An empty `smtp.host` means: reading only; an empty `imap.host`: find it.

    `smtp_most_bytes` is the largest letter that `smtp` takes, where it was asked and says so.
    """

    imap: Server
    login: str
    smtp: Server = NO_SERVER
    smtp_most_bytes: int | None = None

    def columns(self) -> dict[str, object]:
        """As Mailbox and ConnectionTest keep them."""
        return {
            "imap_host": self.imap.host,
            "imap_port": self.imap.port,
            "imap_security": self.imap.security,
            "smtp_host": self.smtp.host,
            "smtp_port": self.smtp.port,
            "smtp_security": self.smtp.security,
            "smtp_most_bytes": self.smtp_most_bytes,
            "login": self.login,
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """What the employee wants: names of folders to sync, and a folder name by role (roles.CHOOSABLE)."""

    folders: Collection[bytes]
    roles: Mapping[str, bytes]


def settings_of(row: ConnectionTest | Mailbox) -> ServerSettings:
    """The servers of a test or of a mailbox."""
    return ServerSettings(
        imap=Server(row.imap_host, row.imap_port, row.imap_security),
        smtp=Server(row.smtp_host, row.smtp_port, row.smtp_security),
        login=row.login,
        smtp_most_bytes=row.smtp_most_bytes,
    )


# Limits


def owned(owner: Employee) -> int:
    """How many of the plan's mailboxes the employee uses. What others share does not count."""
    return Mailbox.objects.filter(owner=owner, disconnected_at=None).count()


def why_not(owner: Employee, on: date) -> str:
    """Why the employee may not connect one more mailbox today, as a sentence; "" when they may."""
    limits = limits_for(owner.account, on)
    if not limits.sync_enabled:
        return _("Your plan %(plan)s does not include mail. %(offer)s") % {
            "plan": plan_name(limits.plan),
            "offer": ask_admin(with_more(limits, on)),
        }
    room, have = limits.mailboxes_per_employee, owned(owner)
    if room is None or have < room:
        return ""
    return ngettext(
        "Your plan %(plan)s has room for %(room)d mailbox per employee, and you have %(have)d. %(offer)s",
        "Your plan %(plan)s has room for %(room)d mailboxes per employee, and you have %(have)d. %(offer)s",
        room,
    ) % {
        "plan": plan_name(limits.plan),
        "room": room,
        "have": have,
        "offer": or_ask_admin(_("Disconnect one first"), with_more(limits, on)),
    }


# Testing


def start_test(
    *,
    by: Employee,
    address: str,
    settings: ServerSettings,
    sealed: bytes = b"",
    consent: Consent | None = None,
    mailbox: Mailbox | None = None,
) -> ConnectionTest:
    """Write the test down and hand it to a worker once the transaction is committed.

    `sealed` is secrets.seal(password): the plain text goes no further than the form; or there is a `consent`. With
    `mailbox` it is the test of a repair. Tests of yesterday are dropped, and their secrets with them.
    """
    drop_old_tests()
    test = ConnectionTest.objects.create(
        account_id=by.account_id,
        by=by,
        mailbox=mailbox,
        address=address,
        secret=sealed,
        provider=consent.provider if consent else "",
        consent=consent,
        **settings.columns(),
    )
    transaction.on_commit(lambda: _hand_to_worker(test.account_id, test.pk))
    return test


def ask_consent(
    *, by: Employee, address: str, provider: Provider, login: str = "", mailbox: Mailbox | None = None
) -> ConnectionTest:
    """A test that waits for the person to come back from the provider. Its servers are the provider's and no other:
    a token goes nowhere else."""
    drop_old_tests()
    settings = ServerSettings(imap=provider.imap, smtp=provider.smtp, login=login or address)
    return ConnectionTest.objects.create(
        account_id=by.account_id,
        by=by,
        mailbox=mailbox,
        address=address,
        secret=b"",
        provider=provider.key,
        state="asked",
        **settings.columns(),
    )


def take_code(test: ConnectionTest, sealed: bytes) -> None:
    """The person is back with a code: a worker gets the keys for it. `sealed` is tokens.exchange's arguments."""
    ConnectionTest.objects.filter(pk=test.pk).update(
        secret=sealed, consent=None, state="waiting", steps=[], created_at=timezone.now()
    )
    transaction.on_commit(lambda: _hand_to_worker(test.account_id, test.pk))


def test_again(test: ConnectionTest, *, by: Employee) -> ConnectionTest:
    """The same servers, login and secret once more: nothing a person typed can change in between."""
    return start_test(
        by=by,
        address=test.address,
        settings=settings_of(test),
        sealed=bytes(test.secret),
        consent=test.consent,
        mailbox=test.mailbox,
    )


def test_as_it_is(mailbox: Mailbox, *, by: Employee) -> ConnectionTest:
    """A test of a mailbox with what it has: the server may have come back by itself."""
    return start_test(
        by=by,
        address=mailbox.address,
        settings=settings_of(mailbox),
        sealed=bytes(mailbox.secret),
        consent=mailbox.consent,
        mailbox=mailbox,
    )


def drop_old_tests() -> None:
    """Tests of yesterday, and consents that led to nothing. Those are not revoked: at Google that would end every
    consent of the same person to us, also the one that did lead to a mailbox."""
    yesterday = timezone.now() - TEST_LIVES
    ConnectionTest.objects.filter(created_at__lt=yesterday).delete()
    Consent.objects.filter(created_at__lt=yesterday, mailbox=None, tests=None).delete()


def _hand_to_worker(account_id: int, test_id: int) -> None:
    try:
        current_app.send_task(
            "mailsync.test_connection", args=[account_id, test_id], queue="interactive", retry=False
        )
    except OperationalError:
        with tenancy.acting_for(account_id):
            fail_test(test_id, "name", _("The background service cannot be reached. Try again in a minute."))


def fail_test(test_id: int, key: str, sentence: str) -> None:
    """End a test before any step was made."""
    ConnectionTest.objects.filter(pk=test_id).update(
        state="failed", steps=[{"key": key, "text": sentence, "state": "failed"}]
    )


def use_up(test: ConnectionTest) -> None:
    """A test serves once; its copy of the password goes, and its hold on the consent."""
    _use_up(ConnectionTest.objects.filter(pk=test.pk))


def use_up_tests_of(mailbox: Mailbox) -> None:
    """Those that were begun before it changed hands or was let go: none may replace its login now."""
    _use_up(ConnectionTest.objects.filter(mailbox=mailbox))


def _use_up(tests: QuerySet[ConnectionTest]) -> None:
    tests.update(state="used", secret=b"", consent=None)


# Connecting


def connect(
    *,
    owner: Employee,
    address: str,
    settings: ServerSettings,
    sealed: bytes = b"",
    consent: Consent | None = None,
    found: Sequence[FoundFolder],
    choice: Choice,
    fetch_days: int,
    by: Employee | None,
    sender_name: str = "",
    as_operator: bool = False,
    private_host_allowed: bool = False,
) -> Mailbox:
    """Create the mailbox with its folders and wake it; a mailbox its owner had disconnected comes back.

    `sealed` is secrets.seal(password), or there is a `consent`; `as_operator` lets `fetch_days` exceed the plan's.
    Raises CannotConnect.
    """
    with transaction.atomic():
        account = lock_account(owner.account_id)
        too_far = _why_not_days(limits_for(account, account.today()), fetch_days)
        _refuse_if_no_room(account, owner, address)
        if not as_operator:
            refuse_if(too_far)
        chosen = _chosen(found, choice)
        # One that comes back may still be leaving (mailsync.discarding).
        schedule.lock(Mailbox.objects.filter(account=account, address=address).values_list("pk", flat=True))
        mailbox, created = Mailbox.objects.update_or_create(
            account=account,
            address=address,
            defaults={
                **settings.columns(),
                **_as_new(),
                "owner": owner,
                "sender_name": sender_name or owner.name,
                "secret": sealed,
                "consent": consent,
                "private_host_allowed": private_host_allowed,
                "fetch_days": fetch_days,
                "fetch_beyond_plan": bool(too_far),
            },
        )
        _write_folders(mailbox, found, choice)
        unread.begin_anew(mailbox.pk)
        Schedule.objects.update_or_create(mailbox=mailbox, defaults={"account": account})
        schedule.start_anew(mailbox.pk)
        audit.record(
            "mailbox.connected" if created else "mailbox.reconnected",
            address,
            account_id=account.pk,
            by=by,
            owner=owner.email,
            imap=f"{settings.imap.host}:{settings.imap.port}",
            folders=len(chosen),
            fetch_days=fetch_days,
        )
    return mailbox


def _refuse_if_no_room(account: Account, owner: Employee, address: str) -> None:
    today = account.today()
    refuse_if(why_not(owner, today))
    refuse_if(why_not_address(account, owner, address))
    refuse_if(_why_not_shared_again(account, address, today))


def _chosen(found: Sequence[FoundFolder], choice: Choice) -> set[bytes]:
    chosen = set(choice.folders)
    if not chosen & {folder.name for folder in found if folder.selectable}:
        raise CannotConnect(_("Choose at least one folder."))
    return chosen


def _as_new() -> dict[str, object]:
    """What a mailbox that comes back shares with one that is new: nothing of its former life."""
    return {
        "connected_at": timezone.now(),
        "purged_until": None,
        "place": None,
        "disconnected_at": None,
        "paused_at": None,
        "state": MailboxState.NEW,
        "last_error": "",
        "troubled_since": None,
        "first_sync_started_at": None,
        "first_synced_at": None,
        "synced_at": None,
    }


def why_not_address(account: Account, owner: Employee, address: str) -> str:
    """Why this address is not free, as a sentence; "" when it is, or is the owner's own that was let go."""
    there = Mailbox.objects.filter(account=account, address=address).select_related("owner").first()
    if there is None or (there.disconnected_at and there.owner_id == owner.pk):
        return ""
    if there.owner_id == owner.pk:
        return _("You have connected %(address)s already.") % {"address": address}
    return _("%(address)s is connected already, by %(owner)s. Ask to have it shared with you.") % {
        "address": address,
        "owner": there.owner,
    }


def why_not_share(account: Account, on: date) -> str:
    """Why the account may not share one more mailbox, as a sentence; "" when it may."""
    limits = limits_for(account, on)
    room = limits.shared_mailboxes
    if room is None:
        return ""
    used = shared_mailboxes(account)
    if used < room:
        return ""
    return ngettext(
        "Your plan %(plan)s allows %(room)d shared mailbox in the company, and %(used)d is shared. %(offer)s",
        "Your plan %(plan)s allows %(room)d shared mailboxes in the company, and %(used)d are shared. %(offer)s",
        room,
    ) % {
        "plan": plan_name(limits.plan),
        "room": room,
        "used": used,
        "offer": or_ask_admin(
            _("End the sharing of another one first"), with_more(limits, on, "shared_mailboxes")
        ),
    }


def shared_mailboxes(account: Account) -> int:
    """How many connected mailboxes somebody besides the owner may use: each counts once, however many do."""
    used = MailboxGrant.objects.filter(account=account, mailbox__disconnected_at=None)
    return used.values("mailbox").distinct().count()


def _why_not_shared_again(account: Account, address: str, today: date) -> str:
    """A mailbox that comes back is shared with whom it was: that counts again."""
    comes_back = MailboxGrant.objects.filter(
        account=account, mailbox__address=address, mailbox__disconnected_at__isnull=False
    )
    return why_not_share(account, today) if comes_back.exists() else ""


def _why_not_days(limits: Limits, fetch_days: int) -> str:
    if 0 <= fetch_days <= limits.fetch_days:
        return ""
    return ngettext(
        "Your plan %(plan)s fetches mail of the last %(days)d day at most.",
        "Your plan %(plan)s fetches mail of the last %(days)d days at most.",
        limits.fetch_days,
    ) % {"plan": plan_name(limits.plan), "days": limits.fetch_days}


def refuse_if(reason: str) -> None:
    if reason:
        raise CannotConnect(reason)


def lock_account(account_id: int) -> Account:
    """Connectings and sharings of one account happen one after another, so that counts hold."""
    return Account.objects.select_for_update(no_key=True).get(pk=account_id)


def _write_folders(mailbox: Mailbox, found: Sequence[FoundFolder], choice: Choice) -> None:
    role_of = {name: role for role, name in _all_roles(found, choice.roles).items()}
    _end_changes(mailbox)
    # One folder a role is a constraint: give all back before they are dealt anew.
    mailbox.folders.update(special_use="")
    for folder in found:
        Folder.objects.update_or_create(
            mailbox=mailbox,
            name=folder.name,
            defaults={
                "account_id": mailbox.account_id,
                "path": folder.path,
                "delimiter": folder.delimiter,
                "special_use": role_of.get(folder.name, ""),
                "selectable": folder.selectable,
                # One that opens one day is synchronised then.
                "syncing": folder.name in choice.folders if folder.selectable else not folder.is_virtual,
                "error": "",
                "errors_in_row": 0,
                "refused_since": None,
                **no_cursors(),
                # What the test counted, so that the progress knows its total from the first second.
                "wanted": folder.messages or 0,
            },
        )


def _end_changes(mailbox: Mailbox) -> None:
    """What was wished of its folders before it was let go is over: how they are on the server stands. A renaming that a
    worker had told without hearing of it would meet the folder under its new name."""
    changes = Operation.objects.filter(mailbox=mailbox, kind__in=FOLDER_KINDS, finished_at=None)
    changes.update(state=OperationState.VOID, finished_at=timezone.now())
    mailbox.folders.filter(deleting=True).update(deleting=False)


def _all_roles(found: Sequence[FoundFolder], chosen: Mapping[str, bytes]) -> dict[str, bytes]:
    """What the server says about INBOX and the virtual folders, what the employee says about the others."""
    said = roles.guess(found)
    taken = {role: name for role, name in said.items() if role not in roles.CHOOSABLE}
    refuse_if(why_not_roles(chosen, taken.values()))
    return taken | {role: name for role, name in chosen.items() if role in roles.CHOOSABLE}


def why_not_roles(chosen: Mapping[str, Hashable], taken: Collection[Hashable]) -> str:
    """Why a choice of roles makes no sense, as a sentence: one folder cannot be two things."""
    picked = list(chosen.values())
    if len(set(picked)) != len(picked) or set(picked) & set(taken):
        return _("A folder can have one role only; the inbox keeps its own.")
    return ""
