"""Acme with something of everything, and the eight kinds of people who may ask for it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie

from django.apps import apps
from django.db import connection, transaction
from django.test import Client

from accounts import tenancy
from accounts.models import Employee, Role
from mailsync.models import GrantLevel
from tests.accounts.furnishing import Things, furnished
from tests.world import World, account, employee, made_world

# Written in every address and name of the company: nobody outside may read even that.
NAME = "acme"

TENANT = {
    model._meta.db_table
    for model in apps.get_models()
    if any(field.column == "account_id" for field in model._meta.concrete_fields)
}
# Outside of Acme: nobody, the admin of another company, the operator of a third one.
OUTSIDE = ("anonymous", "stranger", "operator")
# Inside: Cyd without access to anything, the supervisor, Bob with a grant, Ann whose mail it is, and the admin.
INSIDE = ("colleague", "supervisor", "granted", "owner", "admin")
PEOPLE = (*OUTSIDE, *INSIDE)


@dataclass(frozen=True)
class Guarded:
    world: World
    people: dict[str, Employee | None]
    things: Things
    cookies: dict[str, str]
    rows: dict[str, str]
    # One for everybody: each new one would load the middleware anew.
    _browser: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def browser(self, who: str) -> Client:
        """A browser in which this kind of person is signed in; it is one browser, so ask with it at once."""
        self._browser.cookies = SimpleCookie(self.cookies[who])
        return self._browser


@contextmanager
def undone() -> Iterator[None]:
    """What the block writes is taken back at its end."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def furnish() -> Guarded:
    world = made_world()
    people = _people(world)
    things = furnished(world)
    cookies = {who: _cookie(world, person) for who, person in people.items()}
    return Guarded(world, people, things, cookies, rows_of(world, TENANT))


def _people(world: World) -> dict[str, Employee | None]:
    with world.acting():
        world.ann_box.grants.create(account=world.acme, employee=world.bob, level=GrantLevel.DELETE)
        sue = employee(world.acme, "Sue Sharp", "sue@acme.example", role=Role.SUPERVISOR)
    keepers = account("Keepers")
    with tenancy.acting_for(keepers.pk):
        opal = employee(keepers, "Opal Olsen", "opal@keepers.example")
        opal.is_operator = True
        opal.save()
    return {
        "anonymous": None,
        "stranger": world.eve,
        "operator": opal,
        "colleague": world.cyd,
        "supervisor": sue,
        "granted": world.bob,
        "owner": world.ann,
        "admin": world.adm,
    }


def _cookie(world: World, person: Employee | None) -> str:
    return world.client(person).cookies.output(header="", sep=";") if person else ""


def rows_of(world: World, tables: Iterable[str]) -> dict[str, str]:
    """A fingerprint of each of Acme's rows, by table and primary key."""
    keys = {model._meta.db_table: model._meta.pk.column for model in apps.get_models()}
    rows: dict[str, str] = {}
    with world.acting(), connection.cursor() as cursor:
        for table in tables:
            cursor.execute(
                f"SELECT {keys[table]}, md5(t::text) FROM {table} t WHERE account_id = %s", [world.acme.pk]
            )
            rows |= {f"{table} {key}": row for key, row in cursor.fetchall()}
    return rows
