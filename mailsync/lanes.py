"""Lanes: how many workers may be at one mail server, and at one login of it, at the same time.

Servers count connections by address and by login, and turn away whoever has too many, the phone of the employee
included. So a claim takes a lane or waits; a few lanes are kept for what a person has just clicked. Mailboxes whose
last run failed have two lanes of a host between them: where it is down, each holds its worker until a timeout. The
watcher holds one connection more for each mailbox, and a test of a connection another: they are not counted here, the
settings leave room for them.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection

from mailsync.models import Mailbox, Schedule

CLICK_LANES, FAILED_LANES = 2, 2  # of those to a host


@dataclass(frozen=True, slots=True)
class Lane:
    """A mailbox's host, its port there and its login as numbers: what every account's workers read holds no names."""

    mailbox_id: int
    host: int
    server: int
    login: int


def lane_of(mailbox_id: int) -> Lane:
    """Inside a transaction of the mailbox's account."""
    host, port, login = Mailbox.objects.values_list("imap_host", "imap_port", "login").get(pk=mailbox_id)
    name = host.strip().lower()
    return Lane(mailbox_id, _number(name), _number(f"{name}:{port}"), _number(f"{name}\0{login}"))


def has_room(lane: Lane, now: datetime, *, click: bool, failed: bool) -> bool:
    """Whether one more worker may go there; `failed`: its mailbox's last run did. Holds the host's lock until the
    commit, so that two cannot take the last lane at once."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lane.host])
    others = Schedule.objects.filter(host_lane=lane.host, leased_until__gt=now).exclude(
        mailbox_id=lane.mailbox_id
    )
    there = list(others.values_list("login_lane", "failures"))
    if failed and not click and sum(failures > 0 for _login, failures in there) >= FAILED_LANES:
        return False
    logins = [login for login, _failures in there]
    most: int = settings.MAIL_WORKERS_PER_HOST - (0 if click else CLICK_LANES)
    most_alike: int = settings.MAIL_WORKERS_PER_LOGIN
    return len(logins) < most and logins.count(lane.login) < most_alike


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], signed=True)
