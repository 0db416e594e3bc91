"""What matching costs: a mailbox of 20 000 messages stored without and with CRM, and the first page of a long timeline.

    .venv/bin/python -m benchmarks.matching [messages]

The share of sync time is (with - without) / without of `importing.store` alone, without any network: the real share is
smaller. One letter in twenty is of a contact, as in a busy mailbox; CRM knows 2 000 contacts.
"""

import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

os.environ["MAILBOUND_TEST_RUN"] = tempfile.mkdtemp(prefix="mailbound-bench-")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django.test import Client  # noqa: E402

from accounts import tenancy  # noqa: E402
from accounts.models import Employee  # noqa: E402
from crm.models import Activity, Binding, Contact, EmailAddress, Feed, FeedFolder  # noqa: E402
from demo import services  # noqa: E402
from demo.supervisor import Supervisor  # noqa: E402
from mailsync.importing import Prepared, prepare, store  # noqa: E402
from mailsync.models import Folder  # noqa: E402
from plans.loading import load_catalogue  # noqa: E402
from tests import world  # noqa: E402
from tests.settings import HOME  # noqa: E402

BATCH = 100
NEWEST = datetime(2026, 11, 1, 12, tzinfo=UTC)
CONTACTS = 2_000


def batches(account_id: int, count: int) -> list[list[Prepared]]:
    letters = [
        prepare(account_id, n + 1, frozenset(), NEWEST - timedelta(minutes=n), raw(n)) for n in range(count)
    ]
    return [letters[start : start + BATCH] for start in range(0, count, BATCH)]


def raw(n: int) -> bytes:
    """Postmarks as a real mail has them; an answer to an earlier one in every third."""
    sender = f"c{n % CONTACTS}@client.example" if n % 20 == 0 else f"s{n % 700}@stranger{n % 90}.example"
    received = "".join(
        f"Received: from relay{hop} by mx{hop}.example with ESMTPS id {n}-{hop}; x\r\n" for hop in range(6)
    )
    answers = (
        f"In-Reply-To: <{n - 9}@x.example>\r\nReferences: <{n - 18}@x.example> <{n - 9}@x.example>\r\n"
        if n % 3 == 0
        else ""
    )
    text = f"Letter {n}. " + "The figures of last week; more on the second page.\r\n" * 40
    return (
        f"{received}From: Sender {n} <{sender}>\r\nTo: ann@acme.example\r\nSubject: Report {n}\r\n{answers}"
        f"Message-ID: <{n}@x.example>\r\nDate: Sun, 1 Nov 2026 10:00:00 +0000\r\n\r\n{text}"
    ).encode()


def timed(folder: Folder, prepared: list[list[Prepared]]) -> float:
    begun = time.perf_counter()
    for batch in prepared:
        with tenancy.acting_for(folder.account_id):
            store(folder, batch)
    return time.perf_counter() - begun


def measure(count: int) -> None:
    load_catalogue()
    acme = world.account("Acme")
    with tenancy.acting_for(acme.pk):
        ann = world.employee(acme, "Ann", "ann@acme.example")
        boxes = [world.mailbox(ann, f"{name}@acme.example") for name in ("plain", "fed")]
        folders = [
            Folder.objects.select_related("mailbox").get(mailbox=box, special_use="inbox") for box in boxes
        ]
        people = [Contact(account=acme, name=f"Client {n}", responsible=ann) for n in range(CONTACTS)]
        Contact.objects.bulk_create(people)
        EmailAddress.objects.bulk_create(
            EmailAddress(account=acme, address=f"c{n}@client.example", contact=each)
            for n, each in enumerate(people)
        )
        feed = Feed.objects.create(account=acme, mailbox=boxes[1], enabled=True)
        FeedFolder.objects.create(account=acme, feed=feed, folder=folders[1])
    prepared = batches(acme.pk, count)
    without = timed(folders[0], prepared)
    fed = timed(folders[1], prepared)
    with tenancy.acting_for(acme.pk):
        kept = Activity.objects.count()
    share = (fed - without) / without
    print(f"{count} messages: stored in {without:.1f} s, with matching {fed:.1f} s: {share:.1%}; {kept} kept")
    timeline(acme.pk, ann, people[1])


def timeline(account_id: int, ann: Employee, contact: Contact) -> None:
    with tenancy.acting_for(account_id):
        made = Activity.objects.bulk_create(
            Activity(account_id=account_id, kind="note", text=f"note {n}", at=NEWEST - timedelta(minutes=n))
            for n in range(10_000)
        )
        Binding.objects.bulk_create(
            Binding(account_id=account_id, activity=each, contact=contact, at=each.at) for each in made
        )
    client = world.sign_in(Client(headers={"host": "localhost"}), ann)
    took = []
    for _again in range(21):
        begun = time.perf_counter()
        assert client.get(f"/crm/contacts/{contact.pk}/").status_code == 200
        took.append(time.perf_counter() - begun)
    first, median = took[0] * 1000, sorted(took)[10] * 1000
    print(f"page of a contact with 10 000 activities: first {first:.0f} ms, median {median:.0f} ms")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    Path(HOME).mkdir(parents=True, exist_ok=True)
    with Supervisor(HOME) as supervisor:
        services.start_redis(supervisor, HOME, keep=False)
        settings = {**services.BULK, **services.THROWAWAY}
        services.start_postgres(supervisor, HOME, database="test_mailbound", settings=settings)
        call_command("migrate", database="owner", verbosity=0, interactive=False)
        call_command("collectstatic", interactive=False, verbosity=0)
        measure(count)
        for each in connections.all(initialized_only=True):
            each.close()


if __name__ == "__main__":
    main()
