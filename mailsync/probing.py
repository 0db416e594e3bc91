"""The worker's side of connecting: try the servers step by step, each step told as it happens.

`examine` knows no database; `probe` is the job around it, the operators' command another.
"""

import base64
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from django.conf import settings as config
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import tenancy
from mailsync import autoconfig, consents, netguard, oauth, presets, secrets, smtp
from mailsync.connecting import ServerSettings, settings_of
from mailsync.foldernames import path_of
from mailsync.imap.answers import RemoteName
from mailsync.imap.errors import ForbiddenText, Refused, ServerError
from mailsync.imap.server import ImapServer, Status
from mailsync.imap.session import Credentials, Session, open_client, tls_context
from mailsync.models import ConnectionTest, Mailbox, Security
from mailsync.oauth import Provider
from mailsync.presets import Server
from mailsync.roles import VIRTUAL, FoundFolder

STEPS = ("name", "connect", "tls", "login", "folders", "smtp")
_GUESS_SECONDS = 4.0
_MOST_COUNTED = 300  # folders whose messages are counted: a few boxes have thousands
_ROLES = {
    "\\" + role: role
    for role in ("sent", "drafts", "archive", "junk", "trash", "all", "flagged", "important")
}
_CLOSED = {"\\noselect", "\\nonexistent"}

# Told about a step: its key, its state (running, ok, warning, failed, skipped) and a sentence.
Say = Callable[[str, str, str], None]


class ProbeFailed(Exception):
    """A step failed; `sentence` says what happened and what to do."""

    def __init__(self, step: str, sentence: str) -> None:
        super().__init__(sentence)
        self.step = step
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Subject:
    """What is tried. `password` hides itself; with a `provider` it is an access token that came from there."""

    address: str
    settings: ServerSettings
    password: secrets.Secret
    allow_private: bool
    provider: Provider | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What works: the servers as found, and the folders."""

    settings: ServerSettings
    folders: tuple[FoundFolder, ...]


def examine(subject: Subject, say: Say) -> Found:
    """All steps in order. Raises ProbeFailed at the first that fails; trouble with SMTP is only a warning."""
    subject = replace(subject, settings=_locate(subject, say))
    session, subject = _sign_in(subject, say)
    try:
        folders = _list_folders(session, say)
    finally:
        session.close()
    return Found(_try_smtp(subject, say), folders)


def probe(account_id: int, test_id: int) -> None:
    """Carry out one test and write each step into its row. A test that somebody began is left alone."""
    with tenancy.acting_for(account_id):
        waiting = ConnectionTest.objects.filter(pk=test_id, state="waiting")
        if not waiting.update(state="running"):
            return
        test = ConnectionTest.objects.select_related("by", "mailbox", "consent").get(pk=test_id)
    with translation.override(test.by.language):
        _Written(test).run()


# Steps


def _locate(subject: Subject, say: Say) -> ServerSettings:
    """Resolve the server's name, or find the server of the address."""
    host = subject.settings.imap.host
    if not host:
        return _discover(subject, say)
    say("name", "running", _("Looking up %(host)s") % {"host": host})
    try:
        netguard.resolve(host, subject.settings.imap.port, allow_private=subject.allow_private)
    except netguard.UnknownHost:
        raise ProbeFailed(
            "name", _("There is no server with the name %(host)s. Check the spelling.") % {"host": host}
        ) from None
    except netguard.ForbiddenAddress:
        raise ProbeFailed("name", _private(host)) from None
    say("name", "ok", _("%(host)s is known") % {"host": host})
    return subject.settings


def _private(host: str) -> str:
    return _(
        "%(host)s is not on the public internet. For safety only an operator of this installation can connect "
        "such a server."
    ) % {"host": host}


def _discover(subject: Subject, say: Say) -> ServerSettings:
    """Ask the domain, then try the usual names."""
    domain = subject.address.rpartition("@")[2]
    say("name", "running", _("Asking %(domain)s for its mail servers") % {"domain": domain})
    tls = tls_context(config.MAIL_CA_FILE)
    published = autoconfig.ask(subject.address, allow_private=subject.allow_private, tls=tls)
    if published:
        imap, outgoing, login = published.imap, published.smtp, published.login
    else:
        say("name", "running", _("Trying the usual names at %(domain)s") % {"domain": domain})
        imap, outgoing, login = _first_imap(subject, domain), None, subject.address
    outgoing = outgoing or _first_smtp(subject, domain, imap.host, tls)
    say("name", "ok", _("Found %(host)s") % {"host": imap.host})
    return ServerSettings(
        imap=imap, login=subject.settings.login or login, smtp=outgoing or subject.settings.smtp
    )


def _first_imap(subject: Subject, domain: str) -> Server:
    """The first guess that speaks IMAP with a certificate for its name; the password is not sent yet."""
    nearest: ServerError | None = None
    for server in autoconfig.guesses(domain):
        if not _listens(server, allow_private=subject.allow_private):
            continue
        try:
            Session(open_client(_credentials(subject, server)), server.host).close()
        except ServerError as error:
            nearest = nearest or error
        else:
            return server
    sentence = _("No mail server of %(domain)s was found. Type its servers by hand.") % {"domain": domain}
    if nearest:
        sentence = f"{sentence} {_explained(nearest)}"
    raise ProbeFailed("name", sentence)


def _first_smtp(subject: Subject, domain: str, imap_host: str, tls: ssl.SSLContext) -> Server | None:
    for server in autoconfig.smtp_guesses(domain, imap_host):
        if _listens(server, allow_private=subject.allow_private):
            with suppress(smtp.SmtpTrouble):
                smtp.greet(_smtp_credentials(subject, server, tls), timeout=_GUESS_SECONDS)
                return server
    return None


def _listens(server: Server, *, allow_private: bool) -> bool:
    try:
        netguard.connect(
            server.host, server.port, allow_private=allow_private, timeout=_GUESS_SECONDS
        ).close()
    except OSError:
        return False
    return True


def _sign_in(subject: Subject, say: Say) -> tuple[Session, Subject]:
    imap = subject.settings.imap
    say(
        "connect",
        "running",
        _("Connecting to %(host)s, port %(port)d") % {"host": imap.host, "port": imap.port},
    )
    try:
        session = Session(open_client(_credentials(subject, imap)), imap.host)
    except ServerError as error:
        if error.step == "tls":
            say("connect", "ok", _("%(host)s answers") % {"host": imap.host})
        raise ProbeFailed(error.step, _explained(error)) from None
    say("connect", "ok", _("%(host)s answers") % {"host": imap.host})
    if imap.security == Security.NONE:
        say("tls", "warning", _("Not protected: the password and all mail travel readable for others."))
    else:
        say("tls", "ok", _("The connection is protected and the server is who it says"))
    return session, _with_login(session, subject, say)


def _with_login(session: Session, subject: Subject, say: Say) -> Subject:
    """Sign in; where the server was only guessed, its users may be known without the domain."""
    login = subject.settings.login or subject.address
    say("login", "running", _("Signing in as %(login)s") % {"login": login})
    subject = replace(subject, settings=replace(subject.settings, login=login))
    try:
        session.sign_in(_credentials(subject, subject.settings.imap))
    except ForbiddenText:
        session.close()
        raise ProbeFailed("login", _("A login or password cannot contain a line break.")) from None
    except ServerError as error:
        session.close()
        raise ProbeFailed("login", _refused(error, subject)) from None
    say("login", "ok", _("Signed in as %(login)s") % {"login": login})
    return subject


def _refused(error: ServerError, subject: Subject) -> str:
    """The server's word, and what this provider wants instead of the usual password."""
    sentence = _scrubbed(_explained(error), subject.password)
    if subject.provider:
        return f"{sentence} {subject.provider.refused_help}" if isinstance(error, Refused) else sentence
    preset = presets.for_host(subject.settings.imap.host) or presets.for_address(subject.address)
    if isinstance(error, Refused) and preset and preset.help:
        return f"{sentence} {preset.help}"
    return sentence


def _list_folders(session: Session, say: Say) -> tuple[FoundFolder, ...]:
    say("folders", "running", _("Listing the folders"))
    server = ImapServer(session)
    try:
        names = server.folders()
        closed = {remote.name for remote in names if remote.attributes & _CLOSED}
        counted = [remote.name for remote in names if remote.name not in closed][:_MOST_COUNTED]
        statuses = server.statuses(counted)
    except ServerError as error:
        raise ProbeFailed("folders", _explained(error)) from None
    found = tuple(found_folder(remote, statuses.get(remote.name), gmail=server.is_gmail) for remote in names)
    if not any(folder.name.upper() == b"INBOX" and folder.selectable for folder in found):
        raise ProbeFailed(
            "folders", _("The sign-in works, but this login has no INBOX. Ask who runs the mail server.")
        )
    messages = sum(folder.messages or 0 for folder in found if folder.special_use not in VIRTUAL)
    say(
        "folders",
        "ok",
        ngettext("%(folders)d folder", "%(folders)d folders", len(found)) % {"folders": len(found)}
        + ", "
        + ngettext("%(messages)s message", "%(messages)s messages", messages)
        % {"messages": f"{messages:,}".replace(",", "\u202f")},
    )
    return found


def found_folder(remote: RemoteName, status: Status | None, *, gmail: bool) -> FoundFolder:
    """What LIST says of a folder. At `gmail` All Mail is a place of its own, and the only one of archived mail."""
    return FoundFolder(
        holds_all=gmail and "\\all" in remote.attributes,
        name=remote.name,
        path=path_of(remote.name),
        delimiter=remote.delimiter,
        special_use=next((_ROLES[a] for a in sorted(remote.attributes) if a in _ROLES), ""),
        selectable=not remote.attributes & _CLOSED,
        messages=status.messages if status else None,
        uidvalidity=status.uidvalidity if status else None,
    )


def _try_smtp(subject: Subject, say: Say) -> ServerSettings:
    outgoing = subject.settings.smtp
    if not outgoing.host:
        say("smtp", "skipped", _("No outgoing server: you can read, not write."))
        return subject.settings
    say("smtp", "running", _("Signing in at %(host)s") % {"host": outgoing.host})
    tls = tls_context(config.MAIL_CA_FILE)
    try:
        most_bytes = smtp.try_login(_smtp_credentials(subject, outgoing, tls))
    except smtp.SmtpTrouble as error:
        say("smtp", "warning", _scrubbed(error.sentence, subject.password))
        return subject.settings
    say("smtp", "ok", _("%(host)s takes your mail") % {"host": outgoing.host})
    return replace(subject.settings, smtp_most_bytes=most_bytes)


# Words


def _explained(error: ServerError) -> str:
    """The error as a sentence that says what to do, where we know more than the server's words."""
    reason = error.__context__
    if isinstance(reason, ssl.SSLCertVerificationError):
        return _certificate(reason)
    return error.sentence


def _certificate(error: ssl.SSLCertVerificationError) -> str:
    # X509_V_ERR_…: 9 not yet valid, 10 expired, 18 to 21 no trusted chain, 62 and 64 another name.
    if error.verify_code in (62, 64):
        return _(
            "The server's certificate belongs to another name, so this may not be your server. Use the name that "
            "your provider gives for IMAP."
        )
    if error.verify_code in (9, 10):
        return _("The server's certificate is out of date. Whoever runs the server has to renew it.")
    return _(
        "The server's certificate is not signed by an authority known here. An operator can add a company's own "
        "authority (MAIL_CA_FILE)."
    )


def _scrubbed(sentence: str, password: secrets.Secret) -> str:
    """A server may repeat what it was sent: that must reach neither the row nor the page."""
    text = password.reveal()
    for form in (text, base64.b64encode(text.encode()).decode()):
        if form:
            sentence = sentence.replace(form, "…")
    return sentence


def _credentials(subject: Subject, server: Server) -> Credentials:
    return Credentials(
        host=server.host,
        port=server.port,
        security=server.security,
        login=subject.settings.login or subject.address,
        password=subject.password.reveal(),
        bearer=subject.provider is not None,
        allow_private=subject.allow_private,
        ca_file=config.MAIL_CA_FILE,
    )


def _smtp_credentials(subject: Subject, server: Server, tls: ssl.SSLContext) -> smtp.SmtpCredentials:
    return smtp.SmtpCredentials(
        host=server.host,
        port=server.port,
        security=server.security,
        login=subject.settings.login or subject.address,
        password=subject.password.reveal(),
        tls=tls,
        bearer=subject.provider is not None,
        allow_private=subject.allow_private,
    )


# The row that the page watches


class _Written:
    """One run of a test, with its steps written where the page reads them."""

    def __init__(self, test: ConnectionTest) -> None:
        self.test = test
        keys = ("consent", *STEPS) if test.provider else STEPS
        self.steps = {key: {"key": key, "state": "waiting", "text": ""} for key in keys}

    def run(self) -> None:
        state = "failed"
        try:
            found = examine(self._subject(), self.say)
            self._keep(found)
            state = "passed"
        except ProbeFailed as failure:
            self.say(failure.step, "failed", failure.sentence)
        finally:
            self._finish(state)

    def _subject(self) -> Subject:
        test = self.test
        provider = oauth.by_key(test.provider)
        allowed = config.MAIL_ALLOW_PRIVATE_HOSTS or _allowed_before(test.mailbox, test)
        password = self._token() if test.provider else _typed(test)
        return Subject(
            address=test.address,
            settings=settings_of(test),
            password=password,
            allow_private=allowed or bool(provider and provider.own),
            provider=provider,
        )

    def _token(self) -> secrets.Secret:
        """What the person allowed, as a token to sign in with."""
        provider = oauth.by_key(self.test.provider)
        names = {"provider": provider.name if provider else self.test.provider}
        self.say("consent", "running", _("Asking %(provider)s for the keys to the mailbox") % names)
        try:
            consent = self.test.consent or consents.redeem(self.test)
            token = consents.access_token(consent)
        except ServerError as error:
            raise ProbeFailed("consent", error.sentence) from None
        names["address"] = consent.address
        self.say("consent", "ok", _("%(address)s gave its consent at %(provider)s") % names)
        return token

    def say(self, key: str, state: str, text: str) -> None:
        # A later step may fail an earlier one only by name: "session" is trouble in the middle of a step.
        key = key if key in self.steps else self._running()
        self.steps[key] = {"key": key, "state": state, "text": text}
        self._write(steps=list(self.steps.values()))

    def _running(self) -> str:
        return next((key for key, step in self.steps.items() if step["state"] == "running"), "connect")

    def _keep(self, found: Found) -> None:
        self._write(found=[folder.as_json() for folder in found.folders], **found.settings.columns())

    def _finish(self, state: str) -> None:
        """Also when something unforeseen ends the job: the page must not wait for ever."""
        states = [step["state"] for step in self.steps.values()]
        if state == "failed" and "failed" not in states:
            key = next(key for key, step in self.steps.items() if step["state"] in ("running", "waiting"))
            sentence = _("This took too long or went wrong on our side. Try again.")
            self.steps[key] = {"key": key, "state": "failed", "text": sentence}
        self._write(state=state, steps=list(self.steps.values()))

    def _write(self, **columns: object) -> None:
        with tenancy.acting_for(self.test.account_id):
            ConnectionTest.objects.filter(pk=self.test.pk, state="running").update(**columns)


def _typed(test: ConnectionTest) -> secrets.Secret:
    return secrets.unseal(bytes(test.secret), account_id=test.account_id)


def _allowed_before(mailbox: Mailbox | None, test: ConnectionTest) -> bool:
    """An operator allowed this mailbox's hosts, and these are they."""
    return bool(
        mailbox
        and mailbox.private_host_allowed
        and (mailbox.imap_host, mailbox.smtp_host) == (test.imap_host, test.smtp_host)
    )
