"""Puts the rows of a world that was taken back in again: a fifth of the time of making it."""

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from django.apps import apps
from django.contrib.auth.hashers import get_hasher
from django.db import connection
from django.db.models import GeneratedField
from django.utils import timezone

from accounts import tenancy
from accounts.models import Account

W = TypeVar("W")


class Replay(Generic[W]):
    """`companies` names the accounts of a made world, whose rows are all that it consists of.

    Their ids are free: sequences are not taken back. Only as long as "now" is still about true in them.
    """

    GOOD_FOR = timedelta(minutes=1)

    def __init__(self, companies: Callable[[W], Iterable[Account]]) -> None:
        self.companies = companies
        self.made_at: datetime | None = None
        self.hasher: str | None = None
        self.original: W
        self.script: str

    def of(self, make: Callable[[], W]) -> W:
        """What `make` made lately, with its rows; else made anew."""
        if not self.is_good():
            self.made_at = timezone.now()
            self.hasher = get_hasher().algorithm
            self.original = make()
            self.script = "".join(map(_rows_of, self.companies(self.original)))
        else:
            with connection.cursor() as cursor:
                cursor.execute(self.script)
        return copy.deepcopy(self.original)

    def is_good(self) -> bool:
        """Not when the test has another hasher: nobody could sign in."""
        if self.made_at is None or self.hasher != get_hasher().algorithm:
            return False
        return timedelta(0) <= timezone.now() - self.made_at < self.GOOD_FOR


def _rows_of(company: Account) -> str:
    """What puts the account's rows in, as SQL. Foreign keys are looked at later, so any order does."""
    with tenancy.acting_for(company.pk), connection.cursor() as cursor:
        script = [cursor.mogrify("SELECT set_config('app.account', %s, true);", [str(company.pk)])]
        for table, column, columns in _tables():
            cursor.execute(f"SELECT json_agg(t) FROM {table} t WHERE {column} = %s", [company.pk])
            [(rows,)] = cursor.fetchall()
            if rows:
                rest = f"SELECT {columns} FROM json_populate_recordset(NULL::{table}, %s);"
                into = f"INSERT INTO {table} ({columns}) {rest}"
                script.append(cursor.mogrify(into, [json.dumps(rows)]))
    return b"".join([*script, b"SELECT set_config('app.account', '', true);"]).decode()


def _tables() -> Iterator[tuple[str, str, str]]:
    """Tables whose rows belong to an account, the column that says to which, and those that are written."""
    for model in apps.get_models():
        written = [f.column for f in model._meta.concrete_fields if not isinstance(f, GeneratedField)]
        if model is Account or "account_id" in written:
            yield (
                model._meta.db_table,
                "id" if model is Account else "account_id",
                ", ".join(f'"{column}"' for column in written),
            )
