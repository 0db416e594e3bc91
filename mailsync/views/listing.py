"""A list on the screen: which folders it merges, and each row as it is shown.

A page has 50 rows; a template that looks up, translates and reverses for each of them would cost more than
the query. So a Row is finished, escaped HTML and the template only places it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from html import escape
from urllib.parse import urlencode

from django.http import Http404
from django.urls import reverse
from django.utils import timezone
from django.utils.dates import MONTHS_3, WEEKDAYS_ABBR
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from accounts.requests import id_of
from accounts.templatetags.icons import icon
from mailsync import narrowing, paging, teamwork
from mailsync.models import GrantLevel, SpecialUse
from mailsync.paging import Entry, Key, Place
from mailsync.tags import tags_of
from mailsync.teamwork import Mark
from mailsync.trees import FolderLine, MailboxLine, Tree

ALL = "all"


@dataclass(frozen=True, slots=True)
class Listing:
    """One folder (`folder`, `mailbox`), or without them the unified inbox. `show` narrows it."""

    tree: Tree
    show: str = ""
    mailbox: MailboxLine | None = None
    folder: FolderLine | None = None

    @property
    def name(self) -> str:
        """How requests name this list."""
        return str(self.folder.id) if self.folder else ALL

    @property
    def folders(self) -> tuple[FolderLine, ...]:
        folders = (self.folder,) if self.folder else self.tree.inboxes
        if narrowing.of_teams(self.show):
            return tuple(line for line in folders if self.tree.mailbox(line.mailbox_id).shared)
        return folders

    @property
    def shared(self) -> bool:
        """Whether colleagues work in what it lists."""
        lines = (self.folder,) if self.folder else self.tree.inboxes
        return any(self.tree.mailbox(line.mailbox_id).shared for line in lines)

    @property
    def reader(self) -> int:
        return self.tree.reader

    @property
    def apart(self) -> frozenset[int]:
        """The folders whose mail is read or unread for the reader alone."""
        return frozenset(line.id for line in self.folders if self.tree.mailbox(line.mailbox_id).apart)

    @property
    def folder_ids(self) -> list[int]:
        return [folder.id for folder in self.folders]

    @property
    def role(self) -> str:
        return self.folder.role if self.folder else SpecialUse.INBOX

    @property
    def title(self) -> str:
        return self.folder.name if self.folder else _("Inbox")

    @property
    def total(self) -> int:
        return sum(folder.total for folder in self.folders)

    @property
    def unseen(self) -> int:
        return sum(folder.unseen for folder in self.folders)

    @property
    def more_unseen(self) -> bool:
        """Whether `unseen` is only as far as was counted."""
        return any(folder.more for folder in self.folders)

    @property
    def by_words(self) -> bool:
        """Whether it is narrowed by more than a chip of its own."""
        return narrowing.walks(self.show) and not narrowing.of_teams(self.show)

    @property
    def matching(self) -> int | None:
        """How many messages "select all that match" means, where the kept counters know it."""
        if self.show == "unread" and self.more_unseen:
            return None
        return {"": self.total, "unread": self.unseen}.get(self.show)

    @property
    def url(self) -> str:
        path = reverse("mail:folder", args=[self.folder.id]) if self.folder else reverse("mail:inbox")
        return path + (f"?{urlencode({'show': self.show})}" if self.show else "")

    @property
    def all_url(self) -> str:
        return replace(self, show="").url

    @property
    def targets(self) -> tuple[MailboxLine, ...]:
        """The mailboxes whose folders the menu "Move" offers."""
        return (self.mailbox,) if self.mailbox else self.tree.mailboxes

    @property
    def may_flag(self) -> bool:
        """Whether its toolbar offers what one level opens, and below what the next does: in one mailbox at least."""
        return any(mailbox.may(GrantLevel.REPLY) for mailbox in self.targets)

    @property
    def may_mark(self) -> bool:
        return self.may_flag or any(mailbox.apart for mailbox in self.targets)

    @property
    def may_sort(self) -> bool:
        return any(mailbox.may(GrantLevel.DELETE) for mailbox in self.targets)

    @property
    def changeable(self) -> bool:
        """Whether the folder itself may be renamed and deleted: a role keeps it as it is."""
        return bool(self.folder and self.mailbox and not self.folder.role and self.mailbox.may("manage"))

    @property
    def erases(self) -> bool:
        """Whether deleting here is for good."""
        return self.role in {SpecialUse.TRASH, SpecialUse.JUNK}

    @property
    def parameters(self) -> dict[str, str]:
        return {"list": self.name} | ({"show": self.show} if self.show else {})

    def message_url(self, place: Place) -> str:
        return f"{reverse('mail:message', args=[place.folder_id, place.id])}{self.suffix}"

    @property
    def suffix(self) -> str:
        """What a message's URL carries, so that reload and "next" know the list it was opened from."""
        carried = ({} if self.folder else {"in": ALL}) | ({"show": self.show} if self.show else {})
        return f"?{urlencode(carried)}" if carried else ""


def listing(tree: Tree, name: str, show: str) -> Listing:
    """The list that a request names; Http404 when the employee has no such list."""
    if not narrowing.is_narrowing(show):
        raise Http404
    if name == ALL:
        return Listing(tree, show)
    found = tree.find(id_of(name))
    if found is None:
        raise Http404
    return Listing(tree, show, *found)


@dataclass(frozen=True, slots=True)
class Row:
    id: int
    html: SafeString


# 50 of these a page: the template language would take five times as long as the query.
_ROW = (
    '<li class="{css}" id="r{id}"><input type="checkbox" name="ids" value="{id}" form="acts"'
    ' aria-label="{select}: {subject}"><a href="{url}" class="line">{spoken}'
    '<span class="who" dir="auto">{who}</span><span class="signs">{signs}<time title="{full}">{when}</time></span>'
    '<span class="subject" dir="auto">{subject}</span>'
    '<span class="snippet" dir="auto">{tags}{snippet}</span>{where}</a>'
    '<button class="star" form="acts" name="one" value="{verb}:{id}" aria-pressed="{pressed}"'
    ' aria-label="{star}">{star_icon}</button></li>'
)


@dataclass(frozen=True, slots=True)
class Page:
    """Rows and where the next page begins ("" at the end of the list)."""

    listing: Listing
    rows: list[Row]
    top: str
    next: str
    state: tuple[object, ...]

    @property
    def next_query(self) -> str:
        return urlencode({**self.listing.parameters, "before": self.next})

    @property
    def older_url(self) -> str:
        """The next page as a whole screen, for browsers without scripts."""
        url = self.listing.url
        return f"{url}{'&' if '?' in url else '?'}before={self.next}"


def page(listed: Listing, *, before: Key | None = None, down_to: Key | None = None) -> Page:
    """One page; with `down_to` as many rows as reach to that one (at most 300)."""
    outgoing = listed.role in paging.OUTGOING
    limit = 300 if down_to else paging.PAGE
    begins = narrowing.begins(listed.show, listed.reader, listed.folder_ids)
    if begins:
        before = min(before or Key(begins, 0), Key(begins, 0))
    horizon = paging.horizon(listed.folder_ids, before=before) if narrowing.walks(listed.show) else None
    found = paging.entries(
        listed.folder_ids,
        show=listed.show,
        before=before,
        down_to=max(filter(None, (down_to, horizon)), default=None),
        limit=limit + 1,
        recipients=outgoing,
        reader=listed.reader,
        apart=listed.apart,
    )
    if down_to and len(found) < paging.PAGE:
        return page(listed, before=before)
    shown = found[:limit]
    more = len(found) > limit or (down_to is not None and bool(shown))
    known = teamwork.marks(entry.message_id for entry in shown) if listed.shared and shown else {}
    return Page(
        listing=listed,
        rows=rows_of(shown, listed, known),
        top=str(shown[0].key) if shown else "",
        next=str(shown[-1].key if more else horizon or ""),
        state=tuple((entry.id, entry.flags, entry.seen, known.get(entry.message_id)) for entry in shown),
    )


def rows_of(entries: Iterable[Entry], listed: Listing, marks: Mapping[int, Mark]) -> list[Row]:
    words = _Words(listed, marks)
    return [Row(entry.id, words.row(entry)) for entry in entries]


class _Words:
    """What all rows of a page share: translated words, the hour, the names of the mailboxes."""

    def __init__(self, listed: Listing, marks: Mapping[int, Mark]) -> None:
        self.marks, self.reader = marks, listed.reader
        self.folders = {folder.id: folder for folder in listed.folders} if marks else {}
        self.now = timezone.localtime()
        self.root, self.suffix = reverse("mail:inbox"), listed.suffix
        self.outgoing = listed.role in paging.OUTGOING
        self.boxes = _box_names(listed)
        self.no_subject = _("(no subject)")
        self.no_sender = _("(no sender)")
        self.no_recipient = _("(no recipient)")
        self.to, self.select, self.star = _("To %s"), _("Select"), _("Star")
        self.noted = _("With notes.")
        self.unread, self.starred, self.files = _("Unread."), _("Starred."), _("With attachment.")
        self.months = [str(MONTHS_3[month]).title() for month in range(1, 13)]
        self.days = [str(WEEKDAYS_ABBR[day]) for day in range(7)]
        self.icons = {
            name: icon(name) for name in ("star", "paperclip", "reply", "forward", "user", "sticky-note")
        }

    def row(self, entry: Entry) -> SafeString:
        local = entry.received_at.astimezone(self.now.tzinfo)
        row = _ROW.format(
            id=entry.id,
            css=f"row{'' if entry.seen else ' unread'}{' starred' if entry.starred else ''}",
            url=escape(f"{self.root}mail/{entry.folder_id}/{entry.id}/{self.suffix}"),
            who=escape(self.recipients(entry) if self.outgoing else self.sender(entry)),
            subject=escape(entry.subject or self.no_subject),
            snippet=escape(entry.snippet),
            when=escape(self.date(local)),
            full=local.isoformat(" ", "minutes"),
            spoken=self.spoken(entry),
            signs=self.signs(entry),
            tags=self.team(entry) + self.tags(entry),
            where=self.where(entry),
            verb="unstar" if entry.starred else "star",
            pressed="true" if entry.starred else "false",
            select=escape(self.select),
            star=escape(self.star),
            star_icon=self.icons["star"],
        )
        return SafeString(row)

    def date(self, local: datetime) -> str:
        """The time today, the weekday within a week, then the date."""
        if local.date() == self.now.date():
            return f"{local:%H:%M}"
        if timedelta(0) < self.now - local < timedelta(days=6):
            return f"{self.days[local.weekday()]} {local:%H:%M}"
        day = f"{local.day} {self.months[local.month - 1]}"
        return day if local.year == self.now.year else f"{day} {local.year}"

    def sender(self, entry: Entry) -> str:
        return entry.sender_name or entry.sender_address or self.no_sender

    def recipients(self, entry: Entry) -> str:
        names = ", ".join(name or address for name, address in entry.recipients[:3])
        return self.to % names if names else self.no_recipient

    def signs(self, entry: Entry) -> SafeString:
        answered = self.icons["reply"] if "\\Answered" in entry.flags else SafeString("")
        forwarded = self.icons["forward"] if "$Forwarded" in entry.flags else SafeString("")
        return answered + forwarded + (self.icons["paperclip"] if entry.has_attachments else SafeString(""))

    def tags(self, entry: Entry) -> SafeString:
        found = tags_of(entry.flags)
        if not found:
            return SafeString("")
        chips = format_html_join(
            "", '<i class="tag hue{}">{}</i>', ((tag.hue, tag.name) for tag in found[:2])
        )
        return format_html(
            '<span class="row-tags" dir="auto">{}{}</span>', chips, "…" if len(found) > 2 else ""
        )

    def team(self, entry: Entry) -> SafeString:
        """Whose work it is, and which colleague put it where it lies."""
        mark = self.marks.get(entry.message_id)
        if mark is None:
            return SafeString("")
        folder = self.folders[entry.folder_id]
        did = mark.did(folder.path, folder.role, self.reader)
        parts = [
            self.sign(self.icons["sticky-note"], self.noted) if mark.noted else "",
            format_html('<i class="tag whose">{}{}</i>', self.icons["user"], self.whose(mark))
            if mark.employee_id
            else "",
            format_html('<i class="did">{}, {}</i>', did, self.date(mark.at.astimezone(self.now.tzinfo)))
            if did and mark.at
            else "",
        ]
        return format_html_join("", "{}", ((part,) for part in parts))

    def sign(self, shown: SafeString, said: str) -> SafeString:
        """An icon, with its word for those who listen."""
        return format_html('<i class="noted" title="{}">{}<span class="sr">{}</span></i>', said, shown, said)

    def whose(self, mark: Mark) -> str:
        return _("You") if mark.employee_id == self.reader else mark.name

    def where(self, entry: Entry) -> SafeString:
        box = self.boxes.get(entry.folder_id)
        return format_html('<span class="where">{}</span>', box) if box else SafeString("")

    def spoken(self, entry: Entry) -> SafeString:
        """What signs say to those who look, for those who listen."""
        said = (
            "" if entry.seen else self.unread,
            self.starred if entry.starred else "",
            self.files if entry.has_attachments else "",
        )
        text = " ".join(filter(None, said))
        return format_html('<span class="sr">{}</span>', text) if text else SafeString("")


def _box_names(listed: Listing) -> dict[int, str]:
    """In a list over several mailboxes each row says which one: the part of the address that tells."""
    if listed.folder or len(listed.folders) < 2:
        return {}
    addresses = {f.id: listed.tree.mailbox(f.mailbox_id).address for f in listed.folders}
    names = {key: address.partition("@")[0] for key, address in addresses.items()}
    return addresses if len(set(names.values())) < len(names) else names
