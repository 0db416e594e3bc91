"""manage.py connect_mailbox: an operator connects an address for an employee, tested for real in this process."""

import json
import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import tenancy
from accounts.models import Account, Employee
from mailsync import connecting, netguard, probing, roles, secrets, settling
from mailsync.connecting import CannotConnect, Choice, ServerSettings
from mailsync.models import Mailbox, Security
from mailsync.presets import Server
from mailsync.probing import Found, ProbeFailed, Subject
from mailsync.roles import FoundFolder
from plans.subscriptions import limits_for


class Command(BaseCommand):
    """Idempotent: an address that the employee has connected gets the new servers, login and password.

    Steps are printed as they happen (on stderr with --json, whose one line on stdout is for scripts).
    """

    help = "Connect a mailbox for an employee; run it again to change its server or login."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--account", required=True, help="the account's name")
        parser.add_argument("--employee", required=True, metavar="EMAIL", help="who owns the mailbox")
        parser.add_argument("--address", required=True, help="the address to connect")
        parser.add_argument("--imap", required=True, metavar="HOST:PORT")
        parser.add_argument("--login", required=True, help="the login at the mail server")
        parser.add_argument("--password-env", required=True, metavar="VAR", help="variable with the password")
        parser.add_argument("--smtp", default="", metavar="HOST:PORT", help="none: reading only")
        parser.add_argument("--no-tls", action="store_true", help="no protection at all: private networks")
        parser.add_argument("--starttls", action="store_true", help="STARTTLS instead of TLS")
        parser.add_argument("--days", type=int, help="how far back to fetch; the plan's by default")
        parser.add_argument("--folders", default="all", help="all, or names separated by commas")
        parser.add_argument("--json", action="store_true", help="one line of JSON on stdout")

    def handle(self, *_args: Any, **options: Any) -> None:
        account, owner = _account(options["account"]), options["employee"].lower()
        with tenancy.acting_for(account.pk):
            employee = _employee(account, owner)
            _check_room(employee, options["address"].lower())
            days = self._days(account, options["days"])
        subject = Subject(
            address=options["address"].lower(),
            settings=_settings(options),
            password=_password(options["password_env"]),
            allow_private=True,
        )
        try:
            found = probing.examine(subject, self._say(options["json"]))
        except ProbeFailed as failure:
            raise CommandError(f"{failure.step}: {failure.sentence}") from None
        with tenancy.acting_for(account.pk):
            try:
                mailbox, made = _store(employee, subject, found, _chosen(found, options["folders"]), days)
            except CannotConnect as refusal:
                raise CommandError(refusal.sentence) from None
        self._tell(mailbox, found, made=made, as_json=options["json"])

    def _days(self, account: Account, asked: int | None) -> int:
        most = limits_for(account, account.today()).fetch_days
        if asked is None:
            return most
        if asked < 0:
            raise CommandError("--days cannot be negative.")
        if asked > most:
            self.stderr.write(f"warning: the plan fetches {most} days; {asked} is your decision as operator")
        return asked

    def _say(self, as_json: bool) -> probing.Say:
        out = self.stderr if as_json else self.stdout

        def say(step: str, state: str, text: str) -> None:
            if state != "running":
                out.write(f"{step}: {state}: {text}")

        return say

    def _tell(self, mailbox: Mailbox, found: Found, *, made: bool, as_json: bool) -> None:
        if not as_json:
            self.stdout.write(f"{mailbox.address} is {'connected' if made else 'repaired'}")
            return
        facts = {
            "mailbox": mailbox.pk,
            "address": mailbox.address,
            "created": made,
            "folders": len(found.folders),
            "messages": sum(folder.messages or 0 for folder in found.folders if not folder.is_virtual),
            "fetch_days": mailbox.fetch_days,
        }
        self.stdout.write(json.dumps(facts))


def _account(name: str) -> Account:
    account = Account.objects.filter(name=name).first()
    if account is None:
        raise CommandError(f"There is no account named {name!r}; `manage.py create_account` makes one.")
    return account


def _employee(account: Account, email: str) -> Employee:
    employee = Employee.objects.select_related("account").filter(account=account, email=email).first()
    if employee is None:
        raise CommandError(f"{account} has no employee {email!r}; `manage.py add_employee` adds one.")
    return employee


def _check_room(employee: Employee, address: str) -> None:
    """Before the server is asked; connecting.connect asks again in its transaction."""
    if _existing(employee, address):
        return
    reason = connecting.why_not(employee, employee.account.today()) or connecting.why_not_address(
        employee.account, employee, address
    )
    if reason:
        raise CommandError(reason)


def _existing(employee: Employee, address: str) -> Mailbox | None:
    return Mailbox.objects.filter(owner=employee, address=address, disconnected_at=None).first()


def _password(variable: str) -> secrets.Secret:
    password = os.environ.get(variable, "")
    if not password:
        raise CommandError(f"The environment variable {variable} is not set: put the password there.")
    return secrets.Secret(password)


def _settings(options: dict[str, Any]) -> ServerSettings:
    if options["no_tls"] and options["starttls"]:
        raise CommandError("Choose one of --no-tls and --starttls.")
    imap_host, imap_port = _host_and_port("--imap", options["imap"])
    imap = Server(imap_host, imap_port, _security(options, Security.TLS))
    if not options["smtp"]:
        return ServerSettings(imap=imap, login=options["login"])
    smtp_host, smtp_port = _host_and_port("--smtp", options["smtp"])
    # RFC 8314 7.3: 465 is TLS from the first byte, the other ports begin in clear text.
    usual = Security.TLS if smtp_port == 465 else Security.STARTTLS
    return ServerSettings(
        imap=imap, login=options["login"], smtp=Server(smtp_host, smtp_port, _security(options, usual))
    )


def _security(options: dict[str, Any], usual: Security) -> str:
    if options["no_tls"]:
        return Security.NONE
    return Security.STARTTLS if options["starttls"] else usual


def _host_and_port(option: str, text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
        raise CommandError(f"{option} takes HOST:PORT, such as imap.example.com:993, not {text!r}.")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _chosen(found: Found, asked: str) -> list[FoundFolder]:
    if asked == "all":
        return [folder for folder in found.folders if folder.worth_syncing]
    names = [name.strip() for name in asked.split(",")]
    by_path = {folder.path: folder for folder in found.folders if folder.selectable}
    missing = [name for name in names if name not in by_path]
    if missing:
        raise CommandError(f"The server has no folder {', '.join(missing)}; it has {', '.join(by_path)}.")
    return [by_path[name] for name in names]


def _store(
    employee: Employee, subject: Subject, found: Found, chosen: list[FoundFolder], days: int
) -> tuple[Mailbox, bool]:
    """The mailbox, and whether it was made anew."""
    sealed = secrets.seal(subject.password.reveal(), account_id=employee.account_id)
    private = _is_private(found.settings)
    existing = _existing(employee, subject.address)
    if existing:
        settling.replace_login(existing, found.settings, sealed, by=None, private_host_allowed=private)
        return existing, False
    guessed = roles.guess(found.folders)
    mailbox = connecting.connect(
        owner=employee,
        address=subject.address,
        settings=found.settings,
        sealed=sealed,
        found=found.folders,
        choice=Choice(
            folders={folder.name for folder in chosen},
            roles={role: name for role, name in guessed.items() if role in roles.CHOOSABLE},
        ),
        fetch_days=days,
        by=None,
        as_operator=True,
        private_host_allowed=private,
    )
    return mailbox, True


def _is_private(settings: ServerSettings) -> bool:
    """Whether the operator, by typing it, has allowed an address that is not public."""
    for server in (settings.imap, settings.smtp):
        try:
            if server.host:
                netguard.resolve(server.host, server.port, allow_private=False)
        except netguard.ForbiddenAddress:
            return True
        except netguard.UnknownHost:
            continue
    return False
