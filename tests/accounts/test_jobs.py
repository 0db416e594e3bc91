"""What a worker is told is a stranger's word, too: an id of another company's reaches nothing."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from pytest_django import DjangoDbBlocker

from tests.accounts.guarded import TENANT, Guarded, furnish, rows_of, undone

# Jobs that are told of a company and of something of its: what of Acme's another company's job is told here.
OF_A_COMPANY = {
    "mailsync.test_connection": "test_id",
    "mailsync.discard_copies": "mailbox_id",
    "mailsync.forget_consent": "mailbox_id",  # which has none: the number counts
    "mailsync.check_mailbox": "mailbox_id",
    "crm.rematch": "rematch_id",
    "tasks.carry_out_deletion": "task_id",
    "retention.hand_over": "employee_id",
}


@pytest.fixture
def guarded(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Guarded]:
    with django_db_blocker.unblock(), undone():
        yield furnish()


def test_a_job_told_of_another_companys_rows_touches_none_of_them(guarded: Guarded) -> None:
    jobs = jobs_of_a_company()
    assert jobs.keys() == OF_A_COMPANY.keys(), "say in OF_A_COMPANY what a new job is told of Acme's"
    for name, id_ in OF_A_COMPANY.items():
        with undone():
            jobs[name].run(guarded.world.other.pk, guarded.ids[id_])
            after = rows_of(guarded.world, TENANT)
            assert {
                key for key in after.keys() | guarded.rows.keys() if after.get(key) != guarded.rows.get(key)
            } == set()


def jobs_of_a_company() -> dict[str, Any]:
    current_app.loader.import_default_modules()
    jobs = {name: job for name, job in current_app.tasks.items() if not name.startswith("celery.")}
    return {
        name: job
        for name, job in jobs.items()
        if len(given := list(inspect.signature(job.run).parameters)) > 1 and given[0] == "account_id"
    }
