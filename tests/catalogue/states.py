"""The state in which a mishap leaves a mailbox: everything that the next run can know, so that two can be compared."""

import json
import re
from typing import Any, NamedTuple

from django.apps import apps
from django.db import connection
from django.db.models import ForeignKey, GeneratedField, Model

from accounts import prepared
from mailsync.models import Mailbox, Schedule
from tests.catalogue.conftest import Case


class State(NamedTuple):
    """`mail` and `told` (the server) are what is left to do; `health` only says how the last runs went."""

    mail: str
    told: tuple[bytes, ...]
    health: str

    @property
    def work(self) -> tuple[str, tuple[bytes, ...]]:
        return self.mail, self.told


_CHANGES = re.compile(
    rb"^(?:UID )?(?:STORE|MOVE|COPY|EXPUNGE)\b|^(?:CREATE|RENAME|DELETE|SUBSCRIBE|UNSUBSCRIBE|APPEND)\b",
    re.IGNORECASE,
)
_ONCE_MORE = re.compile(rb"^(?:UID )?COPY|^APPEND", re.IGNORECASE)  # told again, it is done again
_HEALTH = {Mailbox, Schedule}
_LEFT_OUT = {"login", "login_lane", "tries"}  # each scene has a login of its own; 20 tries are another test's
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")


class States:
    """Of one mailbox since the moment `began`, which is the beginning of every scene.

    Asked for some hundred times, so the statement is planned once: planning takes three times as long as asking.
    """

    def __init__(self, began: str) -> None:
        self.began = began
        models = [model for model in apps.get_models() if _has_account(model)]
        self.statement = " UNION ALL ".join(
            f"SELECT {number}, json_agg(t ORDER BY t.{model._meta.pk.column}) FROM {model._meta.db_table} t"
            for number, model in enumerate(models)
        )
        self.models = models

    def of(self, case: Case) -> State:
        """All rows of the account, and what the server was told to change since the beginning.

        Rows that came since have another number each time: they are told by their order. So are moments after `began`,
        which are only "now".
        """
        with case.acting(), connection.cursor() as cursor:
            cursor.execute(prepared.ready(self.statement))
            found = {self.models[number]: rows for number, rows in cursor.fetchall() if rows}
        orders = {
            model: {row[model._meta.pk.column]: order for order, row in enumerate(rows)}
            for model, rows in found.items()
        }
        told: tuple[dict[str, Any], dict[str, Any]] = {}, {}
        for model, rows in found.items():
            values = [_told(model, row, orders, self.began) for row in rows]
            told[model in _HEALTH][model._meta.db_table] = values
        return State(json.dumps(told[False]), _changes(case.line.heard), json.dumps(told[True]))


def _changes(heard: list[bytes]) -> tuple[bytes, ...]:
    """What the server was told to change, each once where once more changes nothing."""
    found: list[bytes] = []
    for line in heard:
        if _CHANGES.match(line) and (line not in found or _ONCE_MORE.match(line)):
            found.append(line)
    return tuple(found)


def _has_account(model: type[Model]) -> bool:
    return any(field.column == "account_id" for field in model._meta.concrete_fields)


def _told(
    model: type[Model], row: dict[str, Any], orders: dict[type[Model], dict[Any, int]], began: str
) -> list[Any]:
    """The values of a row as they would be in every repetition."""
    return [
        _value(field, row[str(field.column)], model, orders, began)
        for field in model._meta.concrete_fields
        if not isinstance(field, GeneratedField) and field.column not in _LEFT_OUT
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
