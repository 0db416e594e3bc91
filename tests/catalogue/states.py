"""The state in which a mishap leaves a mailbox: everything that the next run can know, so that two can be compared."""

import json
import re
from typing import Any

from django.apps import apps
from django.db import connection
from django.db.models import ForeignKey, GeneratedField, Model

from tests.catalogue.conftest import Case

State = tuple[str, tuple[bytes, ...]]

_CHANGES = re.compile(
    rb"^(?:UID )?(?:STORE|MOVE|COPY|EXPUNGE)\b|^(?:CREATE|RENAME|DELETE|SUBSCRIBE|UNSUBSCRIBE|APPEND)\b",
    re.IGNORECASE,
)
_OF_THE_SCENE = {"login", "login_lane"}  # each has a login of its own
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")


def state_of(case: Case, began: str) -> State:
    """All rows of the account, and what the server was told to change since the beginning.

    Rows that came since have another number each time: they are told by their order. So are moments after `began`,
    which are only "now".
    """
    models = [model for model in apps.get_models() if _has_account(model)]
    parts = [
        f"SELECT {number}, json_agg(t ORDER BY t.{model._meta.pk.column}) FROM {model._meta.db_table} t"
        for number, model in enumerate(models)
    ]
    with case.acting(), connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        found = {models[number]: rows for number, rows in cursor.fetchall() if rows}
    orders = {
        model: {row[model._meta.pk.column]: order for order, row in enumerate(rows)}
        for model, rows in found.items()
    }
    told = {
        model._meta.db_table: [_told(model, row, orders, began) for row in rows]
        for model, rows in found.items()
    }
    return json.dumps(told), tuple(line for line in case.line.heard if _CHANGES.match(line))


def _has_account(model: type[Model]) -> bool:
    return any(field.column == "account_id" for field in model._meta.concrete_fields)


def _told(
    model: type[Model], row: dict[str, Any], orders: dict[type[Model], dict[Any, int]], began: str
) -> list[Any]:
    """The values of a row as they would be in every repetition."""
    return [
        _value(field, row[str(field.column)], model, orders, began)
        for field in model._meta.concrete_fields
        if not isinstance(field, GeneratedField) and field.column not in _OF_THE_SCENE
    ]


def _value(
    field: Any, value: Any, model: type[Model], orders: dict[type[Model], dict[Any, int]], began: str
) -> Any:
    target = (
        field.remote_field.model if isinstance(field, ForeignKey) else model if field.primary_key else None
    )
    if target in orders:
        return orders[target].get(value, value)
    if isinstance(value, str) and _MOMENT.match(value) and value >= began:
        return "now"
    return value
