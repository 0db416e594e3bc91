"""A list on the screen: which folders it merges, and each row as ready strings.

A page has 50 rows; a template that looks up, translates and reverses for each of them would cost more than
the query. So a Row holds finished text and the template only places it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.http import Http404
from django.urls import reverse
from django.utils import dateformat, timezone
from django.utils.translation import gettext as _

from mailsync import reading
from mailsync.models import SpecialUse
from mailsync.reading import Entry, FolderLine, Key, MailboxLine, Tree

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
        return (self.folder,) if self.folder else self.tree.inboxes

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
    def matching(self) -> int | None:
        """How many messages "select all that match" means, where the kept counters know it."""
        return {"": self.total, "unread": self.unseen}.get(self.show)

    @property
    def url(self) -> str:
        path = reverse("mail:folder", args=[self.folder.id]) if self.folder else reverse("mail:inbox")
        return path + (f"?show={self.show}" if self.show else "")

    @property
    def all_url(self) -> str:
        return replace(self, show="").url

    @property
    def targets(self) -> tuple[MailboxLine, ...]:
        """The mailboxes whose folders the menu "Move" offers."""
        return (self.mailbox,) if self.mailbox else self.tree.mailboxes

    @property
    def erases(self) -> bool:
        """Whether deleting here is for good."""
        return self.role in {SpecialUse.TRASH, SpecialUse.JUNK}

    @property
    def parameters(self) -> dict[str, str]:
        return {"list": self.name} | ({"show": self.show} if self.show else {})

    def message_url(self, entry: Entry) -> str:
        return f"{reverse('mail:message', args=[entry.folder_id, entry.id])}{self.suffix}"

    @property
    def suffix(self) -> str:
        """What a message's URL carries, so that reload and "next" know the list it was opened from."""
        carried = ({} if self.folder else {"in": ALL}) | ({"show": self.show} if self.show else {})
        return f"?{urlencode(carried)}" if carried else ""


def listing(tree: Tree, name: str, show: str) -> Listing:
    """The list that a request names; Http404 when the employee has no such list."""
    if show not in reading.SHOW:
        raise Http404
    if name == ALL:
        return Listing(tree, show)
    found = tree.find(int(name)) if name.isdecimal() else None
    if found is None:
        raise Http404
    return Listing(tree, show, *found)


@dataclass(frozen=True, slots=True)
class Row:
    id: int
    url: str
    css: str
    starred: bool
    who: str
    subject: str
    snippet: str
    when: str
    full: str
    spoken: str
    attachment: bool
    answered: str
    mailbox: str


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
    outgoing = listed.role in reading.OUTGOING
    limit = 300 if down_to else reading.PAGE
    found = reading.entries(
        listed.folder_ids,
        show=listed.show,
        before=before,
        down_to=down_to,
        limit=limit + 1,
        recipients=outgoing,
    )
    if down_to and len(found) < reading.PAGE:
        return page(listed, before=before)
    shown = found[:limit]
    more = len(found) > limit or (down_to is not None and bool(shown))
    return Page(
        listing=listed,
        rows=rows_of(shown, listed),
        top=str(shown[0].key) if shown else "",
        next=str(shown[-1].key) if more else "",
        state=tuple((entry.id, entry.flags) for entry in shown),
    )


def rows_of(entries: Iterable[Entry], listed: Listing) -> list[Row]:
    now = timezone.localtime()
    root = reverse("mail:inbox")
    suffix = listed.suffix
    boxes = _box_names(listed)
    words = _Words()
    outgoing = listed.role in reading.OUTGOING
    return [
        Row(
            id=entry.id,
            url=f"{root}mail/{entry.folder_id}/{entry.id}/{suffix}",
            css=f"row{'' if entry.seen else ' unread'}{' starred' if entry.starred else ''}",
            starred=entry.starred,
            who=words.recipients(entry) if outgoing else words.sender(entry),
            subject=entry.subject or words.no_subject,
            snippet=entry.snippet,
            when=short_date(entry.received_at, now),
            full=timezone.localtime(entry.received_at).isoformat(" ", "minutes"),
            spoken=words.spoken(entry),
            attachment=entry.has_attachments,
            answered="reply" if "\\Answered" in entry.flags else "",
            mailbox=boxes.get(entry.folder_id, ""),
        )
        for entry in entries
    ]


def short_date(moment: datetime, now: datetime) -> str:
    """The time today, the weekday within a week, then the date; in the employee's zone."""
    local = moment.astimezone(now.tzinfo)
    if local.date() == now.date():
        return f"{local:%H:%M}"
    if timedelta(0) < now - local < timedelta(days=6):
        return dateformat.format(local, "D H:i")
    return dateformat.format(local, "j M" if local.year == now.year else "j M Y")


class _Words:
    """The translated words of rows, looked up once a page."""

    def __init__(self) -> None:
        self.no_subject = _("(no subject)")
        self.no_sender = _("(no sender)")
        self.no_recipient = _("(no recipient)")
        self.to = _("To %s")
        self.unread, self.starred, self.files = _("Unread."), _("Starred."), _("With attachment.")

    def sender(self, entry: Entry) -> str:
        return entry.sender_name or entry.sender_address or self.no_sender

    def recipients(self, entry: Entry) -> str:
        names = ", ".join(name or address for name, address in entry.recipients[:3])
        return self.to % names if names else self.no_recipient

    def spoken(self, entry: Entry) -> str:
        """What signs say to those who look, for those who listen."""
        said = (
            "" if entry.seen else self.unread,
            self.starred if entry.starred else "",
            self.files if entry.has_attachments else "",
        )
        return " ".join(filter(None, said))


def _box_names(listed: Listing) -> dict[int, str]:
    """In a list over several mailboxes each row says which one: the part of the address that tells."""
    if listed.folder or len(listed.folders) < 2:
        return {}
    addresses = {f.id: listed.tree.mailbox(f.mailbox_id).address for f in listed.folders}
    names = {key: address.partition("@")[0] for key, address in addresses.items()}
    return addresses if len(set(names.values())) < len(names) else names
