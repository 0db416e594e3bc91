"""Dovecot as tests use it."""

import imaplib
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import trustme

from demo import services
from demo.services import Certificate, Dovecot
from demo.supervisor import Supervisor


@dataclass(slots=True)
class MailServer:
    """One running Dovecot. Logins are made per test and never shared, so tests need not clean up."""

    server: Dovecot
    ca_file: Path | None = None
    passwords: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @classmethod
    def start(
        cls,
        supervisor: Supervisor,
        home: Path,
        *,
        first_port: int,
        certificate: Certificate | None = None,
        ca_file: Path | None = None,
        introspection_url: str = "",
    ) -> "MailServer":
        port = services.free_port(first_port)
        server = services.start_dovecot(
            supervisor,
            home,
            port=port,
            certificate=certificate,
            name=home.name,
            introspection_url=introspection_url,
        )
        return cls(server, ca_file)

    @property
    def host(self) -> str:
        """As the certificate names it, where there is one."""
        return "localhost" if self.ca_file else self.server.host

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def tls_port(self) -> int:
        assert self.server.tls_port is not None, "started without a certificate"
        return self.server.tls_port

    def new_user(self, login: str = "") -> tuple[str, str]:
        """A login with an empty INBOX, Sent, Drafts, Junk, Trash, Archive; returns it and its password."""
        login = login or f"user{next(self._numbers)}@acme.example"
        password = f"secret of {login}"
        self.set_password(login, password)
        return login, password

    def set_password(self, login: str, password: str) -> None:
        """From now on the server takes this password (connections that are open stay open)."""
        self.server.set_password(login, password)
        self.passwords[login] = password

    def maildir(self, login: str) -> Path:
        return self.server.maildir(login)

    def doveadm(self, *arguments: str) -> str:
        """For example doveadm("expunge", "-u", login, "mailbox", "INBOX", "uid", "3"); returns its output."""
        return self.server.doveadm(*arguments)

    @contextmanager
    def imap(self, login: str) -> Iterator[imaplib.IMAP4]:
        """The other mail program of this person: signed in with the standard library's client."""
        client = self.server.imap(login, self.passwords[login])
        try:
            yield client
        finally:
            client.logout()

    def append(
        self, login: str, raw: bytes, *, folder: str = "INBOX", flags: str = "", at: datetime | None = None
    ) -> None:
        """Put one message into a folder (made if absent), received at the given moment, now by default."""
        with self.imap(login) as client:
            client.create(_quoted(folder))
            date = imaplib.Time2Internaldate(at or datetime.now(UTC))
            state, answer = client.append(_quoted(folder), f"({flags})", date, raw)
        assert state == "OK", answer

    def uids(self, login: str, folder: str = "INBOX") -> dict[int, set[str]]:
        """What the server holds now: UID -> flags (without \\Recent)."""
        with self.imap(login) as client:
            state, _ = client.select(_quoted(folder), readonly=True)
            assert state == "OK", folder
            _, lines = client.uid("FETCH", "1:*", "(FLAGS)")
        found = {}
        for line in lines:
            if isinstance(line, bytes) and b"UID" in line:
                uid = int(line.partition(b"UID ")[2].split()[0].rstrip(b")"))
                flags = {flag.decode() for flag in imaplib.ParseFlags(line)}
                found[uid] = flags - {"\\Recent"}
        return found


@dataclass(slots=True)
class SignedInServer(MailServer):
    """The same server, where the other mail program stays signed in: for some hundred looks at one mailbox.

    Between two looks it has no folder open.
    """

    clients: dict[str, imaplib.IMAP4] = field(default_factory=dict)

    @classmethod
    def of(cls, other: MailServer) -> "SignedInServer":
        return cls(other.server, other.ca_file, other.passwords, other._numbers)

    @contextmanager
    def imap(self, login: str) -> Iterator[imaplib.IMAP4]:
        client = self.clients.pop(login, None) or self.server.imap(login, self.passwords[login])
        try:
            yield client
            if client.state == "SELECTED":
                client.unselect()
        except BaseException:
            client.shutdown()
            raise
        self.clients[login] = client

    def sign_out(self) -> None:
        while self.clients:
            self.clients.popitem()[1].logout()


def certificate_of(folder: Path, *names: str) -> tuple[Certificate, Path]:
    """A new authority, a certificate by it for these names, and the file with which to trust it."""
    authority = trustme.CA()
    issued = authority.issue_cert(*names)
    chain, key, ca_file = folder / "chain.pem", folder / "key.pem", folder / "ca.pem"
    for number, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(str(chain), append=number > 0)
    issued.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(ca_file))
    return Certificate(chain, key), ca_file


def _quoted(folder: str) -> str:
    return '"' + folder.replace("\\", "\\\\").replace('"', '\\"') + '"'
