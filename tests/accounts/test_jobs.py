"""What a worker is told is a stranger's word, too: an id of another company's reaches nothing."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from pytest_django import DjangoDbBlocker

from retention.jobs import export as export_job
from retention.models import Export
from tests.accounts.guarded import TENANT, Guarded, furnish, rows_of, undone

# What URLs know under another name: a leaver is an employee, and the number of a consent is as good as any.
AS = {"leaver_id": "employee_id", "consent_id": "mailbox_id"}


@pytest.fixture
def guarded(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Guarded]:
    with django_db_blocker.unblock(), undone():
        yield furnish()


def test_a_job_told_of_another_companys_rows_touches_none_of_them(guarded: Guarded) -> None:
    jobs = list(jobs_of_a_company())
    assert len(jobs) > 5
    for job, parameters in jobs:
        unknown = {*parameters} - guarded.things.ids.keys() - AS.keys()
        assert not unknown, f"guarded.furnish() must give an id of Acme's for {unknown} of {job.name}"
        with undone():
            job.run(guarded.world.other.pk, *[guarded.things.ids[AS.get(each, each)] for each in parameters])
            after = rows_of(guarded.world, TENANT)
            both = after.keys() | guarded.rows.keys()
            assert {key for key in both if after.get(key) != guarded.rows.get(key)} == set(), job.name


def test_an_export_that_waits_is_written_by_a_job_of_its_own_company_alone(guarded: Guarded) -> None:
    world, export_id = guarded.world, guarded.things.ids["export_id"]
    with undone():
        for account, state in ((world.other, "waiting"), (world.acme, "done")):
            with world.acting():
                Export.objects.filter(pk=export_id).update(state="waiting")
            export_job(account.pk, export_id)
            with world.acting():
                assert Export.objects.get(pk=export_id).state == state


def jobs_of_a_company() -> Iterator[tuple[Any, list[str]]]:
    """Those that are told of a company and of something of its, with the names of what they are told."""
    current_app.loader.import_default_modules()
    for name, job in sorted(current_app.tasks.items()):
        first, *others = [*inspect.signature(job.run).parameters] or [""]
        if not name.startswith("celery.") and first == "account_id" and others:
            yield job, others
