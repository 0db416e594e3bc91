"""Records of Acme, made as people make them."""

from collections.abc import Iterable
from typing import Any, TypeVar

import pytest

from accounts.models import Employee
from crm import deals, directory
from crm.models import Company, Contact, Deal, Exclusion, Feed, FeedFolder, FeedTurn, Lead, Record, Stage
from mailsync.models import Folder, Mailbox
from tests.world import World

Made = TypeVar("Made", bound=Record)


class Clients:
    """Makes records; the responsible is Ann unless told."""

    def __init__(self, world: World) -> None:
        self.world = world

    def contact(self, name: str, *addresses: str, **fields: Any) -> Contact:
        return self._made(Contact(name=name, **self._common(fields)), addresses)

    def company(self, name: str, *addresses: str, **fields: Any) -> Company:
        return self._made(Company(name=name, **self._common(fields)), addresses)

    def lead(self, name: str, *addresses: str, **fields: Any) -> Lead:
        return self._made(Lead(name=name, **self._common(fields)), addresses)

    def stages(self) -> list[Stage]:
        with self.world.acting():
            [pipeline] = deals.pipelines(self.world.acme)
            return list(pipeline.stages.order_by("position"))

    def deal(self, name: str, stage: str = "New", **fields: Any) -> Deal:
        found = next(each for each in self.stages() if each.name == stage)
        with self.world.acting():
            position = deals.on_top(found)
        return self._made(Deal(name=name, stage=found, position=position, **self._common(fields)), ())

    def feed(self, mailbox: Mailbox, *, strangers: str = "nothing", queue: Iterable[Employee] = ()) -> Feed:
        """The mailbox feeds CRM from INBOX, Sent and, by mistake, Junk."""
        with self.world.acting():
            feed = Feed.objects.create(
                account=self.world.acme, mailbox=mailbox, enabled=True, strangers=strangers
            )
            for folder in Folder.objects.filter(mailbox=mailbox, special_use__in=["inbox", "sent", "junk"]):
                FeedFolder.objects.create(account=self.world.acme, feed=feed, folder=folder)
            for position, employee in enumerate(queue):
                FeedTurn.objects.create(
                    account=self.world.acme, feed=feed, employee=employee, position=position
                )
        return feed

    def exception(self, pattern: str) -> None:
        with self.world.acting():
            Exclusion.objects.create(account=self.world.acme, pattern=pattern)

    def _common(self, fields: dict[str, Any]) -> dict[str, Any]:
        responsible: Employee = self.world.ann
        return {"account": self.world.acme, "responsible": responsible, **fields}

    def _made(self, record: Made, addresses: tuple[str, ...]) -> Made:
        with self.world.acting():
            record.save()
            if addresses:
                directory.set_addresses(record, addresses)
        return record


@pytest.fixture
def clients(world: World) -> Clients:
    return Clients(world)
