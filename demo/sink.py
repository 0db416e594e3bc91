"""An SMTP server that accepts mail for everybody and keeps it: `python -m demo.sink PORT MAILDIR USERS ADDRESS`."""

import signal
import sys
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class Users:
    """Checks a login against Dovecot's passwd-files, so that one password opens both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, _: SMTP, __: Session, ___: Envelope, mechanism: str, data: object) -> AuthResult:
        if mechanism not in {"PLAIN", "LOGIN"} or not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        return AuthResult(success=self._password(data.login.decode()) == data.password.decode())

    def _password(self, login: str) -> str | None:
        file = self.folder / Path(login).name
        return file.read_text().rstrip("\n").partition("{PLAIN}")[2] if file.is_file() else None


def main(port: str, maildir: str, users: str, listen: str) -> None:
    controller = Controller(
        Mailbox(Path(maildir)),
        hostname=listen,
        port=int(port),
        authenticator=Users(Path(users)),
        auth_require_tls=False,
        data_size_limit=50 * 1024 * 1024,
    )
    controller.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    controller.stop()


if __name__ == "__main__":
    # Blocked before any thread exists, so that sigwait is the one that gets them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main(*sys.argv[1:])
