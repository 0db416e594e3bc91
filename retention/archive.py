"""The zip files of an export: parts, each whole by itself, and each knows where the next begins.

So a worker that dies costs one part, no file grows beyond what people can carry, and nothing is held in memory.
"""

import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from django.db.models import QuerySet

from accounts import tenancy
from accounts.models import Employee
from crm.models import Activity
from mailsync import blobs
from mailsync.models import Folder
from retention import export_mail, export_rows, mbox
from retention.export_mail import Original
from tasks.models import TaskFile

# A part is full with so much in it, before it is made smaller, or so many messages, rows and files.
PART_BYTES = 1_000_000_000
PART_ITEMS = 50_000

ABOUT = """What is in here

mail/       A file in the mbox form (mboxrd) for each folder of the mailboxes, and beside it a .jsonl file: a line of
            JSON a message, in the same order, with flags, tags, links, and whether it is read.
data/       With an export of the company: rows as JSON, a line each.
activities/ The mail that CRM keeps, in the same form as mail/; its lines name the ids of data/crm_activity.jsonl.
files/      Files of tasks, named by the id in data/tasks_taskfile.jsonl.

What does not fit into one zip file goes on in the next: extract them all into one folder. A mail folder that is spread
over several has a number behind its name there.

A message that had no line end at its end has one here. Programs that read mbox as mboxrd remove one ">" from lines
that begin with ">From "; nothing else was changed.
"""


class Beat(Protocol):
    def __call__(self, done: int) -> None:
        """How many messages, rows and files are written until now. May raise to end the writing."""


class Reached(NamedTuple):
    """How far an export has come: sections before (kind, id) are whole, of this one all up to `row`."""

    kind: int = 0
    id: int = 0
    row: int = 0
    done: int = 0


@dataclass(slots=True)
class Part:
    """One zip file while it is being written."""

    archive: zipfile.ZipFile
    number: int
    done: int
    beat: Beat
    items: int = field(default=0, init=False)
    size: int = field(default=0, init=False)

    @property
    def is_full(self) -> bool:
        return self.size >= PART_BYTES or self.items >= PART_ITEMS

    def count(self, size: int) -> None:
        self.items += 1
        self.done += 1
        self.size += size
        self.beat(self.done)

    @contextmanager
    def entry(self, name: str) -> Iterator[IO[bytes]]:
        """One that may be larger than 4 GB."""
        with self.archive.open(name, "w", force_zip64=True) as into:
            yield into


class Section(Protocol):
    @property
    def key(self) -> tuple[int, int]: ...

    def write(self, part: Part, after: int) -> int | None:
        """What comes after a row; the row at which the part was full, None where nothing is left."""


@dataclass(frozen=True, slots=True)
class Mail:
    """Messages one after the other. A zip file takes one entry at a time, so the lines wait in a temporary file."""

    key: tuple[int, int]
    name: str
    read: Callable[[int], Iterator[Original]]

    def write(self, part: Part, after: int) -> int | None:
        name = f"{self.name}-{part.number}" if after else self.name
        full_at = None
        with tempfile.TemporaryFile() as waiting:
            with part.entry(f"{name}.mbox") as into:
                for original in self.read(after):
                    into.writelines(mbox.entry(original.header, original.body, original.received_at))
                    waiting.writelines(export_rows.as_lines([original.facts]))
                    part.count(len(original.header) + len(original.body))
                    if part.is_full:
                        full_at = original.id
                        break
            waiting.seek(0)
            with part.entry(f"{name}.jsonl") as into:
                into.writelines(waiting)
        return full_at


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one table, never apart: they are small."""

    key: tuple[int, int]
    account_id: int
    name: str

    def write(self, part: Part, after: int) -> int | None:  # noqa: ARG002 (never apart)
        with part.entry(f"data/{self.name}.jsonl") as into:
            for line in export_rows.lines(self.account_id, self.name):
                into.write(line)
                part.count(len(line))
        return None


@dataclass(frozen=True, slots=True)
class Files:
    """Files of tasks."""

    key: tuple[int, int]
    account_id: int

    def write(self, part: Part, after: int) -> int | None:
        while (file := self._next(after)) is not None:
            after, body = file.pk, blobs.body_of(file.content)
            with part.entry(f"files/{file.pk}-{_named(file.name)}") as into:
                into.write(body)
            part.count(len(body))
            if part.is_full:
                return after
        return None

    def _next(self, after: int) -> TaskFile | None:
        with tenancy.acting_for(self.account_id):
            return TaskFile.objects.select_related("content").filter(pk__gt=after).order_by("pk").first()


def mail(folders: Iterable[Folder], reader: Employee | None) -> list[Section]:
    """A section for each folder, in the order of their ids; with the links that `reader` sees, or with all."""
    return [
        Mail(
            (0, folder.pk),
            f"mail/{_named(folder.mailbox.address)}/{folder.pk}-{_named(folder.path)}",
            lambda after, folder=folder: export_mail.of_folder(folder, reader, after),  # type: ignore[misc]
        )
        for folder in folders
    ]


def company(account_id: int) -> list[Section]:
    """What every admin sees anyway."""
    tables: list[Section] = [
        Table((1, number), account_id, name) for number, name in enumerate(export_rows.TABLES)
    ]
    return [
        *tables,
        Mail((2, 0), "activities/activities", lambda after: export_mail.of_activities(account_id, after)),
        Files((3, 0), account_id),
    ]


def in_order(folders: QuerySet[Folder]) -> QuerySet[Folder]:
    """As an export goes through them: one that is new, or is shared meanwhile, disturbs nothing."""
    return folders.select_related("mailbox").order_by("pk")


def count(folders: Iterable[Folder], company_of: int | None) -> int:
    """How many messages, rows and files there are, in a transaction that acts for the account."""
    messages = sum(folder.total for folder in folders)
    if company_of is None:
        return messages
    rows = sum(export_rows.count(company_of, table) for table in export_rows.TABLES)
    kept = Activity.objects.filter(account_id=company_of, body__isnull=False).count()
    return messages + rows + kept + TaskFile.objects.filter(account_id=company_of).count()


def write_part(
    path: Path, number: int, sections: Iterable[Section], reached: Reached, beat: Beat
) -> Reached | None:
    """Write a part under a name that nobody asks for until it is whole; where the next begins, None after the last.

    Raises OSError, BodyLost, and what `beat` raises.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        part = Part(archive, number, reached.done, beat)
        archive.writestr("ABOUT.txt", ABOUT)
        for section in sections:
            if section.key < reached[:2]:
                continue
            row = section.write(part, reached.row if section.key == reached[:2] else 0)
            if row is not None:
                return Reached(*section.key, row, part.done)
            if part.is_full:
                return Reached(section.key[0], section.key[1] + 1, 0, part.done)
    return None


def _named(name: str) -> str:
    """A part of a path in the zip file: names come from mail servers and strangers."""
    return (
        "".join(each if each.isalnum() or each in "@.-_ " else "_" for each in name).strip(". ")[:100] or "_"
    )
