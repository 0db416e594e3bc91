"""The demo's mail server by itself, for containers: `python -m demo.mailhost FOLDER`."""

import os
import signal
import sys
from pathlib import Path

from demo import company, services, trial
from demo.company import PEOPLE
from demo.supervisor import Supervisor

IMAP_PORT, SMTP_PORT = 10143, 10025


def main(home: Path) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Supervisor(home) as supervisor:
        everywhere = "0.0.0.0"  # noqa: S104 (the container's network)
        dovecot = services.start_dovecot(supervisor, home / "dovecot", port=IMAP_PORT, listen=everywhere)
        services.start_sink(supervisor, home, port=SMTP_PORT, users=dovecot.users, listen=everywhere)
        for key in company.mailbox_keys():
            dovecot.set_password(PEOPLE[key].address, os.environ["DEMO_PASSWORD"])
        try:
            trial.watch(supervisor)
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
