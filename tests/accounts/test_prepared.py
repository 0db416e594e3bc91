"""Statements of every page are planned a few times for each connection, not each time."""

import pytest
from django.db import connection, transaction
from django.test import override_settings

from accounts import prepared

_SUM = "SELECT %(a)s::int + %(a)s, %(b)s::text, '100 %%'"


def asked(sql: str, values: object) -> tuple[object, ...]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)  # type: ignore[arg-type]
        row: tuple[object, ...] = cursor.fetchone()
    return row


def plans(sql: str) -> tuple[object, ...]:
    name = prepared.ready(sql).removeprefix("EXECUTE ").partition("(")[0]
    return asked("SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name = %s", [name])


@pytest.mark.django_db
def test_a_statement_keeps_its_plan_and_its_parameters() -> None:
    for number in range(8):
        assert asked(prepared.ready(_SUM), {"a": number, "b": "x"}) == (2 * number, "x", "100 %")
    assert plans(_SUM) == (3, 5)
    assert asked(prepared.ready("SELECT %s::int - %s::int"), [7, 2]) == (5,)


@pytest.mark.django_db(transaction=True)
def test_it_outlives_a_rollback_and_comes_anew_with_another_connection() -> None:
    with transaction.atomic():
        assert asked(prepared.ready(_SUM), {"a": 1, "b": ""})
        transaction.set_rollback(True)
    assert asked(prepared.ready(_SUM), {"a": 2, "b": ""})[0] == 4
    connection.close()
    assert asked(prepared.ready(_SUM), {"a": 3, "b": ""})[0] == 6


def test_behind_a_pooler_it_is_asked_as_it_is() -> None:
    with override_settings(DATABASE_PREPARES=False):
        assert prepared.ready(_SUM) == _SUM
