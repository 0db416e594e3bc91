"""The small world of the tests: two companies, five people, three mailboxes, and mail in them.

Acme: Ann owns ann@ and team@, Bob has a grant on team@, Cyd has none, Adm is the admin.
Other: Eve, its admin, owns eve@. She is the stranger.
"""

import itertools
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, formataddr
from functools import lru_cache

import pytest
from django.conf import settings
from django.contrib.auth.hashers import get_hasher, make_password
from django.db import transaction
from django.db.models import Max
from django.test import Client
from django.utils import timezone

from accounts import tenancy
from accounts.middleware import ACCOUNT_KEY
from accounts.models import Account, Employee, Role
from mailsync import secrets
from mailsync.importing import prepare, store
from mailsync.models import (
    Folder,
    GrantLevel,
    Mailbox,
    MailboxGrant,
    MailboxState,
    Placement,
    Schedule,
    SpecialUse,
)
from plans.subscriptions import change_plan
from tests.replay import Replay

PASSWORD = "correct horse battery"
MAIL_PASSWORD = "the mailbox password"
FOLDERS = {
    "INBOX": SpecialUse.INBOX,
    "Sent": SpecialUse.SENT,
    "Drafts": SpecialUse.DRAFTS,
    "Archive": SpecialUse.ARCHIVE,
    "Junk": SpecialUse.JUNK,
    "Trash": SpecialUse.TRASH,
}


@dataclass
class World:
    """Everybody and everything; the helpers open the account that the object belongs to."""

    acme: Account
    other: Account
    ann: Employee
    bob: Employee
    cyd: Employee
    adm: Employee
    eve: Employee
    ann_box: Mailbox
    team_box: Mailbox
    eve_box: Mailbox
    password: str = PASSWORD
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def acting(self, account: Account | None = None) -> AbstractContextManager[None]:
        """A transaction in which the account's rows exist; Acme's unless told."""
        return tenancy.acting_for((account or self.acme).pk)

    def client(self, employee: Employee) -> Client:
        """A browser in which the employee is signed in."""
        return sign_in(Client(), employee)

    def folder(self, mailbox: Mailbox, role: str = SpecialUse.INBOX) -> Folder:
        with tenancy.acting_for(mailbox.account_id):
            return Folder.objects.select_related("mailbox").get(mailbox=mailbox, special_use=role)

    def message(
        self,
        folder: Folder,
        *,
        subject: str = "Hello",
        text: str = "Good morning.\n",
        html: str = "",
        sender: tuple[str, str] = ("Zoe Zander", "zoe@elsewhere.example"),
        to: Iterable[tuple[str, str]] = (),
        attachments: Sequence[tuple[str, str, bytes]] = (),
        received_at: datetime | None = None,
        flags: Iterable[str] = (),
        uid: int | None = None,
        raw: bytes | None = None,
    ) -> Placement:
        """Put one message into the folder as a pull would have: bytes, derived columns, a UID of its own.

        Attachments are (name, type, bytes). `raw` is used as it is instead of all the parts. Messages made
        later are newer by a minute, unless `received_at` says otherwise.
        """
        number = next(self._numbers)
        received_at = received_at or timezone.now() - timedelta(days=1) + timedelta(minutes=number)
        if raw is None:
            raw = build(
                subject=subject, text=text, html=html, sender=sender, to=to, attachments=attachments,
                message_id=f"<{number}@world.example>", at=received_at,
            )  # fmt: skip
        with tenancy.acting_for(folder.account_id):
            return place(folder, raw, received_at=received_at, flags=flags, uid=uid)


_replay: Replay[World] = Replay(lambda world: [world.acme, world.other])


@pytest.fixture
def world(db: None) -> World:
    """Acme and Other, with the plan professional, mailboxes and the usual folders."""
    with transaction.atomic():
        return _replay.of(made_world)


def made_world() -> World:
    """Acme and Other, with the plan professional, mailboxes and the usual folders."""
    acme, ann, bob, cyd, adm = _acme()
    other, eve = _other()
    with tenancy.acting_for(acme.pk):
        ann_box, team_box = mailbox(ann, "ann@acme.example"), mailbox(ann, "team@acme.example")
        MailboxGrant.objects.create(account=acme, mailbox=team_box, employee=bob, level=GrantLevel.DELETE)
    with tenancy.acting_for(other.pk):
        eve_box = mailbox(eve, "eve@other.example")
    return World(acme, other, ann, bob, cyd, adm, eve, ann_box, team_box, eve_box)


def account(name: str, *, plan: str = "professional") -> Account:
    """A company with a subscription since yesterday (so that it runs in every time zone)."""
    made = Account.objects.create(name=name)
    with tenancy.acting_for(made.pk):
        change_plan(made, plan, on=timezone.now().date() - timedelta(days=1), by=None)
    return made


def employee(company: Account, name: str, email: str, *, role: str = Role.EMPLOYEE) -> Employee:
    """Somebody who signs in with PASSWORD; the account must be the acting one."""
    made = Employee(
        account=company, email=email, password=_hashed(get_hasher().algorithm), name=name, role=role
    )
    made.full_clean()
    made.save()
    return made


@lru_cache
def _hashed(algorithm: str) -> str:
    """A good hasher takes its time on purpose: once is enough for all of the tests."""
    return make_password(PASSWORD, hasher=algorithm)


def mailbox(owner: Employee, address: str, **fields: object) -> Mailbox:
    """A mailbox that was synchronised once, with its folders; the owner's account must be the acting one."""
    now = timezone.now()
    defaults: dict[str, object] = {
        "imap_host": "127.0.0.1",
        "login": address,
        "secret": secrets.seal(MAIL_PASSWORD, account_id=owner.account_id),
        "fetch_days": 90,
        "state": MailboxState.OK,
        "first_sync_started_at": now,
        "first_synced_at": now,
        "synced_at": now,
    }
    made = Mailbox.objects.create(account=owner.account, owner=owner, address=address, **(defaults | fields))
    Schedule.objects.create(mailbox=made, account=owner.account)
    Folder.objects.bulk_create(
        Folder(
            account=owner.account,
            mailbox=made,
            name=name.encode(),
            path=name,
            delimiter="/",
            special_use=role,
            uidvalidity=validity,
            server_uidnext=1,
        )
        for validity, (name, role) in enumerate(FOLDERS.items(), start=1)
    )
    return made


def build(
    *,
    subject: str,
    text: str,
    html: str = "",
    sender: tuple[str, str],
    to: Iterable[tuple[str, str]] = (),
    attachments: Sequence[tuple[str, str, bytes]] = (),
    message_id: str,
    at: datetime,
) -> bytes:
    """An RFC 5322 message with CRLF, as a server would hand it over."""
    mail = EmailMessage()
    mail["From"] = formataddr(sender)
    mail["To"] = ", ".join(formataddr(each) for each in to) or "ann@acme.example"
    mail["Subject"] = subject
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = message_id
    mail.set_content(text)
    if html:
        mail.add_alternative(html, subtype="html")
    for name, type_, content in attachments:
        main, _, sub = type_.partition("/")
        mail.add_attachment(content, maintype=main, subtype=sub, filename=name)
    return mail.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def place(
    folder: Folder, raw: bytes, *, received_at: datetime, flags: Iterable[str] = (), uid: int | None = None
) -> Placement:
    """Store the bytes as a message of the folder's mailbox; the same bytes twice are one message."""
    if uid is None:
        uid = (folder.placements.aggregate(last=Max("uid"))["last"] or 0) + 1
    store(folder, [prepare(folder.account_id, uid, frozenset(flags), received_at, raw)])
    Folder.objects.filter(pk=folder.pk, uid_seen__lt=uid).update(uid_seen=uid, server_uidnext=uid + 1)
    return Placement.objects.select_related("message").get(folder=folder, uid=uid)


def sign_in(client: Client, who: Employee) -> Client:
    """Sign in as the adapter does, without the half second of the password."""
    with tenancy.acting_for(who.account_id):
        client.force_login(who)
    session = client.session
    session[ACCOUNT_KEY] = who.account_id
    session["language"], session["time_zone"] = who.language, who.time_zone
    session.save()
    return client


def session_cookie(who: Employee) -> dict[str, str]:
    """The name and value of a cookie with which a real browser is signed in."""
    client = sign_in(Client(), who)
    name = settings.SESSION_COOKIE_NAME
    return {"name": name, "value": client.cookies[name].value}


def _acme() -> tuple[Account, Employee, Employee, Employee, Employee]:
    acme = account("Acme")
    with tenancy.acting_for(acme.pk):
        return (
            acme,
            employee(acme, "Ann Archer", "ann@acme.example"),
            employee(acme, "Bob Brown", "bob@acme.example"),
            employee(acme, "Cyd Cole", "cyd@acme.example"),
            employee(acme, "Adm Adams", "adm@acme.example", role=Role.ADMIN),
        )


def _other() -> tuple[Account, Employee]:
    other = account("Other")
    with tenancy.acting_for(other.pk):
        return other, employee(other, "Eve Evans", "eve@other.example", role=Role.ADMIN)
