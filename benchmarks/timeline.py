"""The page of a contact with 10 000 activities: `python -m benchmarks.timeline`. The bound is 100 ms of the server."""

import os
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
from crm.models import Activity, Binding, Contact  # noqa: E402
from demo import services  # noqa: E402
from demo.supervisor import Supervisor  # noqa: E402
from tests import world  # noqa: E402
from tests.settings import HOME  # noqa: E402

NEWEST = datetime(2026, 11, 1, 12, tzinfo=UTC)


def measure() -> None:
    acme = world.account("Acme")
    with tenancy.acting_for(acme.pk):
        ann = world.employee(acme, "Ann", "ann@acme.example")
        contact = Contact.objects.create(account=acme, name="Zoe", responsible=ann)
        made = Activity.objects.bulk_create(
            Activity(account=acme, kind="note", text=f"note {n}", at=NEWEST - timedelta(minutes=n))
            for n in range(10_000)
        )
        Binding.objects.bulk_create(
            Binding(account=acme, activity=each, contact=contact, at=each.at) for each in made
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
    Path(HOME).mkdir(parents=True, exist_ok=True)
    with Supervisor(HOME) as supervisor:
        services.start_redis(supervisor, HOME, keep=False)
        settings = {**services.BULK, **services.THROWAWAY}
        services.start_postgres(supervisor, HOME, database="test_mailbound", settings=settings)
        call_command("migrate", database="owner", verbosity=0, interactive=False)
        call_command("collectstatic", interactive=False, verbosity=0)
        measure()
        for each in connections.all(initialized_only=True):
            each.close()


if __name__ == "__main__":
    main()
