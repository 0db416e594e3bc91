"""Fills the demo: the company in our database, its mail on the mail server (where the sync finds it)."""

import imaplib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import transaction
from django.utils import timezone
from imapclient import imap_utf7

from accounts import departments, tenancy
from accounts import people as staff
from accounts.models import Account
from accounts.models import Employee as EmployeeRow
from demo import clients, company, correspondence, series
from demo.company import PEOPLE, Employee
from demo.correspondence import Letter
from mailsync import connecting, secrets, sharing
from mailsync.connecting import Choice, ServerSettings
from mailsync.models import Mailbox, Schedule, Security
from mailsync.presets import Server
from mailsync.roles import FoundFolder
from plans.subscriptions import change_plan, start_trial

FETCH_DAYS = 90
# Special folders that the demo's Dovecot makes by itself; INBOX is everywhere.
SPECIAL = {
    "INBOX": "inbox",
    "Sent": "sent",
    "Drafts": "drafts",
    "Junk": "junk",
    "Trash": "trash",
    "Archive": "archive",
}


@dataclass(frozen=True, slots=True)
class MailHost:
    """Where the demo's mail lives; one password for everybody."""

    host: str
    imap_port: int
    smtp_port: int
    password: str

    def settings(self, address: str) -> ServerSettings:
        return ServerSettings(
            imap=Server(self.host, self.imap_port, Security.NONE),
            smtp=Server(self.host, self.smtp_port, Security.NONE),
            login=address,
        )


# Mail


def fill_mailboxes(host: MailHost, *, now: datetime) -> int:
    """Put the letters into mailboxes that hold none yet; returns how many were put."""
    letters = [*correspondence.conversations(now), *series.everything(now)]
    letters.sort(key=lambda letter: letter.sent_at)
    return sum(_fill(host, key, letters, now=now) for key in company.mailbox_keys())


def _fill(host: MailHost, key: str, letters: Iterable[Letter], *, now: datetime) -> int:
    client = imaplib.IMAP4(host.host, host.imap_port, timeout=30)
    client.login(PEOPLE[key].address, host.password)
    try:
        if client.select("INBOX", readonly=True)[1] != [b"0"]:
            return 0
        for path in company.FOLDERS[key]:
            client.create(_quoted(path))
            client.subscribe(_quoted(path))
        pairs = [(folder, letter) for letter in letters for folder in _folders(key, letter, now=now)]
        _empty(client, {folder for folder, _ in pairs})
        # The inbox comes last: when it holds something, the rest is complete.
        for folder, letter in sorted(pairs, key=lambda pair: pair[0] == "INBOX"):
            _put(client, folder, letter, now=now)
        return len(pairs)
    finally:
        client.logout()


def _empty(client: imaplib.IMAP4, folders: Iterable[str]) -> None:
    """Remove what a seeding that was interrupted has left."""
    for folder in folders:
        if client.select(_quoted(folder))[1] != [b"0"]:
            client.store("1:*", "+FLAGS.SILENT", r"\Deleted")
            client.expunge()


def _put(client: imaplib.IMAP4, folder: str, letter: Letter, *, now: datetime) -> None:
    received = imaplib.Time2Internaldate(letter.sent_at + timedelta(seconds=7))
    flags = " ".join(_flags(folder, letter, now=now))
    state, answer = client.append(_quoted(folder), flags, received, letter.as_bytes())
    if state != "OK":
        raise RuntimeError(f"The mail server did not take a letter for {folder}: {answer}")


def _folders(key: str, letter: Letter, *, now: datetime) -> list[str]:
    """Where this person has the letter: Sent, and the inbox or the folder it was filed in."""
    person = PEOPLE[key]
    folders = ["Sent"] if letter.sender == person else []
    if person in letter.people:
        filed = company.FILED.get((key, letter.sender.address), "INBOX")
        old = letter.sent_at < now - timedelta(days=company.FILED_AFTER_DAYS)
        folder = letter.folder if letter.folder in {"Junk", *company.FOLDERS[key]} else ""
        folders.append(folder or (filed if old else "INBOX"))
    return folders


def _flags(folder: str, letter: Letter, *, now: datetime) -> list[str]:
    fresh = letter.unread and folder != "Sent" and letter.sent_at > now - timedelta(days=45)
    flags = [] if fresh else [r"\Seen"]
    return [*flags, r"\Flagged"] if letter.starred and folder != "Sent" else flags


def _quoted(path: str) -> str:
    encoded: bytes = imap_utf7.encode(path)
    return f'"{encoded.decode("ascii")}"'


# The company


def found_company(host: MailHost, *, today: date) -> Account:
    """The account with its people, mailboxes and grants; what is there already stays, but follows the host."""
    with transaction.atomic():
        account, created = Account.objects.get_or_create(
            name=company.ACCOUNT, defaults={"time_zone": company.TIME_ZONE}
        )
        with tenancy.acting_for(account.pk):
            if created:
                start_trial(account, on=today - timedelta(days=75), by=None)
                change_plan(account, company.PLAN, on=today - timedelta(days=60), by=None)
                people, mailboxes = _hire_and_connect(account, host)
                clients.make_clients(account, people, mailboxes, today=today)
            else:
                _follow(account, host)
    return account


def _hire_and_connect(account: Account, host: MailHost) -> tuple[dict[str, EmployeeRow], dict[str, Mailbox]]:
    rows = {employee.key: _hire(account, employee, host.password) for employee in company.EMPLOYEES}
    mailboxes = {
        key: _connect(rows[employee.key], key, host)
        for employee in company.EMPLOYEES
        for key in employee.mailboxes
    }
    for mailbox, key, level in company.GRANTS:
        sharing.share(mailboxes[mailbox], rows[key], level, by=mailboxes[mailbox].owner)
    return rows, mailboxes


def _hire(account: Account, employee: Employee, password: str) -> EmployeeRow:
    row = staff.add_employee(
        account,
        email=employee.person.address,
        name=employee.person.name,
        role=employee.role,
        password=password,
        by=None,
    )
    department = departments.make(account, employee.department, by=None)
    EmployeeRow.objects.filter(pk=row.pk).update(time_zone=employee.time_zone, department=department)
    return row


def _connect(owner: EmployeeRow, key: str, host: MailHost) -> Mailbox:
    paths = [*SPECIAL, *company.FOLDERS[key]]
    found = [FoundFolder(imap_utf7.encode(path), path, "/", SPECIAL.get(path, "")) for path in paths]
    return connecting.connect(
        owner=owner,
        address=PEOPLE[key].address,
        settings=host.settings(PEOPLE[key].address),
        sealed=secrets.seal(host.password, account_id=owner.account_id),
        found=found,
        choice=Choice(
            folders=[folder.name for folder in found],
            roles={role: path.encode() for path, role in SPECIAL.items() if role != "inbox"},
        ),
        fetch_days=FETCH_DAYS,
        by=None,
        sender_name=PEOPLE[key].name,
        private_host_allowed=True,
    )


def _follow(account: Account, host: MailHost) -> None:
    """The servers may have come up on other ports, and whoever worked when they were stopped works no more."""
    addresses = [PEOPLE[key].address for key in company.mailbox_keys()]
    Mailbox.objects.filter(account=account, address__in=addresses).update(
        imap_host=host.host, imap_port=host.imap_port, smtp_host=host.host, smtp_port=host.smtp_port
    )
    Schedule.objects.filter(account=account, due_at__isnull=False).update(
        due_at=timezone.now(), leased_until=None, hinted_until=None, failures=0
    )
