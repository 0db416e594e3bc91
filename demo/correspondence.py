"""The demo company's mail: conversations of letters.txt, and the series that every company gets besides.

Everything follows from `now`: the same moment gives the same bytes.
"""

import html
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage, MIMEPart
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

from demo import papers
from demo.company import PEOPLE, SIGNATURES, Person

LETTERS = Path(__file__).with_name("letters.txt")
_WORKING_HOURS = range(7, 21)


@dataclass(frozen=True, slots=True)
class Paper:
    """An attachment; with a `content_id` it is shown inside of the HTML."""

    name: str
    type: str
    content: bytes
    content_id: str = ""


@dataclass(slots=True)
class Letter:
    """One message before it becomes bytes. `charset` is what an older mail program would have chosen."""

    sender: Person
    to: list[Person]
    subject: str
    text: str
    sent_at: datetime
    message_id: str
    cc: list[Person] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    html: str = ""
    papers: list[Paper] = field(default_factory=list)
    charset: str = "utf-8"
    unread: bool = False
    starred: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    # The folder of every receiver, where it is not INBOX.
    folder: str = ""

    @property
    def people(self) -> list[Person]:
        return [*self.to, *self.cc]

    def as_bytes(self) -> bytes:
        message = EmailMessage(policy=SMTP)
        message["Date"] = format_datetime(self.sent_at)
        message["From"] = _address(self.sender)
        message["To"] = [_address(person) for person in self.to]
        if self.cc:
            message["Cc"] = [_address(person) for person in self.cc]
        message["Subject"] = self.subject
        message["Message-ID"] = self.message_id
        if self.references:
            message["In-Reply-To"] = self.references[-1]
            message["References"] = " ".join(self.references)
        for name, value in self.headers.items():
            message[name] = value
        message.set_content(self.text, charset=self.charset)
        if self.html:
            self._add_html(message)
        self._attach(message)
        self._name_boundaries(message)
        return message.as_bytes()

    def _add_html(self, message: EmailMessage) -> None:
        message.add_alternative(self.html, subtype="html", charset="utf-8")
        inline = [paper for paper in self.papers if paper.content_id]
        body = message.get_body(("html",))
        assert isinstance(body, MIMEPart)
        for paper in inline:
            main, sub = paper.type.split("/")
            body.add_related(
                paper.content,
                maintype=main,
                subtype=sub,
                cid=f"<{paper.content_id}>",
                filename=paper.name,
                disposition="inline",
            )

    def _attach(self, message: EmailMessage) -> None:
        for paper in self.papers:
            if not paper.content_id:
                main, sub = paper.type.split("/")
                message.add_attachment(paper.content, maintype=main, subtype=sub, filename=paper.name)

    def _name_boundaries(self, message: EmailMessage) -> None:
        """Python draws them at random; ours follow from the letter."""
        for number, part in enumerate(message.walk()):
            if part.is_multipart():
                part.set_boundary(f"=_{zlib.crc32(self.message_id.encode()):08x}_{number}")


def _address(person: Person) -> Address:
    return Address(display_name=person.name, addr_spec=person.address)


def conversations(now: datetime) -> list[Letter]:
    """The letters of letters.txt with their replies threaded and quoted."""
    letters: list[Letter] = []
    blocks = re.split(r"^== ", LETTERS.read_text(), flags=re.MULTILINE)[1:]
    for number, block in enumerate(blocks):
        head, *parts = re.split(r"^-- ", block, flags=re.MULTILINE)
        subject, days = head.strip().rsplit(" | ", 1)
        start = (now - timedelta(days=int(days))).replace(
            hour=7 + number % 4, minute=number * 7 % 60, second=5
        )
        letters += _thread(subject, parts, start, now, number)
    return letters


def _thread(subject: str, parts: list[str], start: datetime, now: datetime, number: int) -> Iterator[Letter]:
    at, before = start, None
    for position, part in enumerate(parts):
        head, _, text = part.partition("\n")
        people, wait, extras = ([*(piece.strip() for piece in head.split("|")), ""])[:3]
        at = _daytime(at + timedelta(hours=int(wait), minutes=11 * position))
        # Letters of this morning: as late as they can be, still in their order.
        at = min(at, now - timedelta(minutes=4 * (len(parts) - position) + number))
        letter = _letter(people, subject, text.strip(), at, before, f"{number}.{position}")
        _apply(letter, extras)
        yield letter
        before = letter


def _daytime(at: datetime) -> datetime:
    """People sleep: what would be written at night is written the next morning."""
    if at.hour in _WORKING_HOURS:
        return at
    later = at + timedelta(days=1) if at.hour >= _WORKING_HOURS.stop else at
    return later.replace(hour=_WORKING_HOURS.start)


def _letter(people: str, subject: str, text: str, at: datetime, before: Letter | None, number: str) -> Letter:
    sender, _, receivers = people.partition(">")
    to, _, cc = receivers.partition(";")
    key = sender.strip()
    signature = f"\n\n-- \n{SIGNATURES[key]}" if key in SIGNATURES and not before else ""
    reply = subject if not before or subject.lower().startswith("re:") else f"Re: {subject}"
    return Letter(
        sender=PEOPLE[key],
        to=[PEOPLE[name.strip()] for name in to.split(",")],
        cc=[PEOPLE[name.strip()] for name in cc.split(",") if name.strip()],
        subject=reply,
        text=text + signature + (_quoted(before) if before else "") + "\n",
        sent_at=at,
        message_id=f"<{number}.{at:%Y%m%d%H%M%S}@{PEOPLE[key].address.partition('@')[2]}>",
        references=[*before.references, before.message_id] if before else [],
    )


def _quoted(letter: Letter) -> str:
    lines = "\n".join(f"> {line}".rstrip() for line in letter.text.rstrip().splitlines())
    return f"\n\nOn {letter.sent_at:%d %B %Y at %H:%M}, {letter.sender.name} wrote:\n{lines}"


def _apply(letter: Letter, extras: str) -> None:
    for extra in filter(None, (piece.strip() for piece in extras.split(","))):
        name, _, value = extra.partition(":")
        if extra.startswith("charset="):
            letter.charset = extra.partition("=")[2]
        elif extra in {"unread", "starred"}:
            setattr(letter, extra, True)
        elif extra == "html":
            letter.html = _as_html(letter.text)
        else:
            letter.papers.append(_paper(name, value, letter))


def _as_html(text: str) -> str:
    """What a mail program makes of typed paragraphs, the quotation included."""
    written, mark, quoted = text.partition("\n\nOn ")
    direction = ' dir="rtl"' if re.search(r"[\u0590-\u06ff]", written[:40]) else ""
    body = "".join(f"<p>{_lines(part)}</p>" for part in written.strip().split("\n\n"))
    if mark:
        old = "<br>".join(html.escape(line.removeprefix("> ")) for line in quoted.splitlines())
        body += f'<blockquote style="margin:0 0 0 8px;border-left:2px solid #ccc;padding-left:10px">{old}</blockquote>'
    style = "font-family:Calibri,Helvetica,sans-serif;font-size:15px;color:#1f2a30"
    return f'<html><head><meta charset="utf-8"></head><body><div{direction} style="{style}">{body}</div></body></html>'


def _lines(paragraph: str) -> str:
    return "<br>".join(html.escape(line) for line in paragraph.splitlines())


def _paper(kind: str, name: str, letter: Letter) -> Paper:
    if kind == "pdf":
        title = name.removesuffix(".pdf").replace("-", " ").capitalize()
        lines = [
            f"{letter.sender.name} <{letter.sender.address}>",
            f"{letter.sent_at:%d %B %Y}",
            "",
            *_prose(letter),
        ]
        return Paper(name, "application/pdf", papers.pdf(title, lines))
    if kind == "png":
        return Paper(name, "image/png", papers.boat() if name == "boat.png" else papers.chart(name))
    if kind == "csv":
        start = letter.sent_at.replace(hour=0, minute=0) - timedelta(days=2)
        return Paper(name, "text/csv", papers.table(name, start=start))
    start = (letter.sent_at + timedelta(days=6)).replace(hour=10, minute=0, second=0)
    guests = [person.address for person in letter.people]
    content = papers.invitation(
        letter.subject,
        start=start,
        organizer=letter.sender.address,
        guests=guests,
        uid=letter.message_id[1:-1],
    )
    return Paper(name, "text/calendar", content)


def _prose(letter: Letter) -> list[str]:
    words, lines = letter.text.partition("\n\nOn ")[0].split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 84:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines[:36]
