"""The admins' list of 2 000 mailboxes: `python -m benchmarks.admin_list`. The bound is 150 ms of the server.

Rows as a company has them: 1 200 people in 40 departments, 5 % of the mailboxes in trouble, a fifth shared, a third
with CRM, changes and letters that wait beside a hundred thousand that do not, storage counted by night.
"""

import argparse
import os
import tempfile
import time
from datetime import timedelta
from pathlib import Path

os.environ["MAILBOUND_TEST_RUN"] = tempfile.mkdtemp(prefix="mailbound-bench-")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts import tenancy  # noqa: E402
from accounts.models import Account, Department, Employee, Role  # noqa: E402
from crm.models import Feed, FeedTurn  # noqa: E402
from demo import services  # noqa: E402
from demo.supervisor import Supervisor  # noqa: E402
from mailsync.models import Folder, Mailbox, MailboxGrant, Operation, Outgoing, Schedule  # noqa: E402
from overview.columns import COLUMNS  # noqa: E402
from retention.models import Storage  # noqa: E402
from tests import world  # noqa: E402
from tests.settings import HOME  # noqa: E402

DONE, WAITING = 100_000, 600
QUESTIONS = {
    "first page": "",
    "page 20 of 50": "?page=20",
    "search": "?q=person+7",
    "in trouble": "?health=trouble",
    "shared, in CRM": "?access=shared&crm=yes",
    "something waits": "?waiting=some",
    "by storage": "?sort=-storage",
    "by what waits": "?sort=-waiting",
    "by who has access": "?sort=-access",
    "by next sync, last page": "?sort=next&page=50",
}


def furnish(acme: Account, boxes: int) -> Employee:
    """The company; returns its admin."""
    now = timezone.now()
    adm = world.employee(acme, "Adm", "adm@acme.example", role=Role.ADMIN)
    departments = Department.objects.bulk_create(
        Department(account=acme, name=f"Department {n}") for n in range(40)
    )
    people = Employee.objects.bulk_create(
        Employee(
            account=acme,
            name=f"Person {n}",
            email=f"p{n}@acme.example",
            password="!",
            department=departments[n % 40],
        )
        for n in range(max(1, boxes * 6 // 10))
    )
    made = Mailbox.objects.bulk_create(_mailbox(acme, people[n % len(people)], n, now) for n in range(boxes))
    Schedule.objects.bulk_create(
        Schedule(account=acme, mailbox=box, due_at=now + timedelta(seconds=n % 60))
        for n, box in enumerate(made)
    )
    folders = Folder.objects.bulk_create(
        Folder(account=acme, mailbox=box, name=b"INBOX", path="INBOX", special_use="inbox") for box in made
    )
    _share(acme, made, people)
    feeds = Feed.objects.bulk_create(Feed(account=acme, mailbox=box, enabled=True) for box in made[::3])
    FeedTurn.objects.bulk_create(
        FeedTurn(account=acme, feed=feed, employee=people[n % len(people)], position=0)
        for n, feed in enumerate(feeds)
    )
    Storage.objects.bulk_create(
        Storage(
            account=acme,
            mailbox=box,
            counted_at=now,
            unbound_bytes=n * 10**6,
            crm_bytes=n * 10**5,
            task_bytes=10**4,
        )
        for n, box in enumerate(made)
    )
    Operation.objects.bulk_create(
        (_operation(acme, folders[n % boxes], n) for n in range(DONE + WAITING)), batch_size=5000
    )
    Outgoing.objects.bulk_create(
        Outgoing(account=acme, mailbox=made[n % boxes], by=adm, message_id=f"{n}@acme.example", state="draft")
        for n in range(20_000)
    )
    return adm


def _mailbox(acme: Account, owner: Employee, n: int, now) -> Mailbox:
    broken = n % 20 == 7
    return Mailbox(
        account=acme,
        owner=owner,
        address=f"box{n:05}@acme.example",
        imap_host="imap.acme.example",
        login="x",
        secret=b"x" * 140,
        signature="<p>Kind regards</p>" * 20,
        fetch_days=90,
        state="refused" if broken else "ok",
        last_error="The server refuses this login and password." if broken else "",
        troubled_since=now - timedelta(days=n % 9) if broken else None,
        synced_at=now - timedelta(seconds=n),
        first_synced_at=now,
    )


def _share(acme: Account, made: list[Mailbox], people: list[Employee]) -> None:
    MailboxGrant.objects.bulk_create(
        MailboxGrant(account=acme, mailbox=box, employee=people[(n + k) % len(people)], level="reply")
        for n, box in enumerate(made[::5])
        for k in range(1, 5)
    )


def _operation(acme: Account, folder: Folder, n: int) -> Operation:
    return Operation(
        account=acme,
        mailbox_id=folder.mailbox_id,
        folder=folder,
        kind="flag",
        uid=n + 1,
        state="pending" if n >= DONE else "done",
    )


def measure(client: Client, query: str, samples: int) -> tuple[float, ...]:
    """The first, the median and the 95th percentile of the time, and the median of Python's own CPU, in ms."""
    took, busy = [], []
    for _again in range(samples):
        begun, cpu = time.perf_counter(), time.process_time()
        assert client.get(f"/mailboxes/all/{query}").status_code == 200
        took.append((time.perf_counter() - begun) * 1000)
        busy.append((time.process_time() - cpu) * 1000)
    rest = sorted(took[1:])
    return took[0], rest[len(rest) // 2], rest[int(len(rest) * 0.95)], sorted(busy)[len(busy) // 2]


def report(client: Client, heading: str, questions: dict[str, str], samples: int) -> None:
    print(f"{heading}: first, p50, p95, CPU in ms", flush=True)
    for name, query in questions.items():
        print(
            f"  {name:26}" + "".join(f"{took:8.0f}" for took in measure(client, query, samples)), flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boxes", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=41)
    options = parser.parse_args()
    Path(HOME).mkdir(parents=True, exist_ok=True)
    with Supervisor(HOME) as supervisor:
        services.start_redis(supervisor, HOME, keep=False)
        settings = {**services.BULK, **services.THROWAWAY}
        services.start_postgres(supervisor, HOME, database="test_mailbound", settings=settings)
        call_command("migrate", database="owner", verbosity=0, interactive=False)
        call_command("collectstatic", interactive=False, verbosity=0)
        acme = world.account("Acme")
        with tenancy.acting_for(acme.pk):
            adm = furnish(acme, options.boxes)
        client = world.sign_in(Client(headers={"host": "localhost"}), adm)
        # The planner without statistics first: a company that was just set up has none.
        report(client, "not analysed", {"first page": ""}, options.samples)
        with connections["owner"].cursor() as cursor:
            cursor.execute("ANALYZE")
        report(client, "analysed", QUESTIONS, options.samples)
        client.post("/mailboxes/all/columns/", {"columns": [column.name for column in COLUMNS]})
        report(client, "every column", {"first page": ""}, options.samples)
        for each in connections.all(initialized_only=True):
            each.close()


if __name__ == "__main__":
    main()
