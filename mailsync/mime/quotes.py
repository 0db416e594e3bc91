"""Answering: to whom, under which subject, in which thread, and what is quoted. Pure; words come from the caller."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from html import escape

import css_inline
from selectolax.lexbor import LexborHTMLParser, LexborNode

from mailsync.mime import sanitize
from mailsync.mime.headers import Address, Fields, addresses, pairs, unfold

# What programs put before a subject when answering and forwarding, in the languages of our people's correspondents.
_ANSWER = r"re|aw|antw|antwort|sv|vs|odp|ynt|vá|res|回复|答复|回覆|отв|ответ"
_FORWARD = r"fwd?|wg|tr|rv|enc|doorst|vl|vb|pd|ilt|továbbítás|转发|轉寄|пересл|fs|wtr"
_NUMBER = r"(?:\s?[\[(]\d{1,3}[\])])?"
_ANSWERED = re.compile(rf"\s*(?:{_ANSWER}){_NUMBER}\s?[:：]\s*", re.IGNORECASE)
_FORWARDED = re.compile(rf"\s*(?:{_FORWARD}){_NUMBER}\s?[:：]\s*", re.IGNORECASE)
_MAX_PEOPLE = 200
_MAX_DEPTH = 400  # the inliner works by recursion, in C
_POST = re.compile(r"<mailto:([^?>]+)", re.IGNORECASE)
_ID = re.compile(r"<[^<>\s]+>")
_INLINER = css_inline.CSSInliner(load_remote_stylesheets=False, keep_style_tags=False)

QUOTE_STYLE = "margin: 0 0 0 8px; padding: 0 0 0 12px; border-left: 2px solid #d0d3da"


@dataclass(frozen=True, slots=True)
class People:
    """Whom an answer goes to."""

    to: Sequence[Address]
    cc: Sequence[Address] = ()


@dataclass(frozen=True, slots=True)
class Thread:
    """In-Reply-To and References of an answer, with angle brackets; "" where the mail had no Message-ID."""

    in_reply_to: str
    references: str


# Subjects


def reply_subject(subject: str) -> str:
    """“Re:” once, whatever was there before in whatever language."""
    return f"Re: {_without(_ANSWERED, subject)}".strip()


def forward_subject(subject: str) -> str:
    return f"Fwd: {_without(_FORWARDED, subject)}".strip()


def _without(prefix: re.Pattern[str], subject: str) -> str:
    while found := prefix.match(subject):
        subject = subject[found.end() :]
    return subject


# People


def reply_to(header: bytes, own: Collection[str]) -> People:
    """The author, or whom the author named; of a mail of my own, those it was sent to."""
    fields = Fields(header)
    author = _people(fields, "from")
    if author and _is_own(author[0], own):
        return People(_each(_people(fields, "to")) or _each(_people(fields, "cc")))
    return People(_each(_people(fields, "reply-to") or author or _people(fields, "sender")))


def reply_to_all(header: bytes, own: Collection[str]) -> People:
    """Author and all others who are named, without me; a list the mail came through stays in."""
    fields = Fields(header)
    to = [person for person in reply_to(header, own).to if not _is_own(person, own)]
    others = [*_people(fields, "to"), *_people(fields, "cc"), *_list_post(header)]
    if _mine(fields, own):
        others = [*_people(fields, "cc")]
    taken = {person.address.lower() for person in to}
    cc = [
        person for person in _each(others) if person.address.lower() not in taken and not _is_own(person, own)
    ]
    if not to and not cc:  # a mail to myself
        return reply_to(header, own)
    return People(to, cc) if to else People(cc)


def written_to(header: bytes, own: Sequence[str]) -> str:
    """The first of my addresses that the mail names: it answers under that one; "" if it names none."""
    fields = Fields(header)
    named = [person.address.lower() for name in ("to", "cc", "bcc") for person in _people(fields, name)]
    delivered = [
        unfold(value).strip("<> ").lower() for name, value in pairs(header) if name.lower() == b"delivered-to"
    ]
    known = {address.lower(): address for address in own}
    return next((known[address] for address in [*named, *delivered] if address in known), "")


def _mine(fields: Fields, own: Collection[str]) -> bool:
    author = _people(fields, "from")
    return bool(author) and _is_own(author[0], own)


def _people(fields: Fields, name: str) -> list[Address]:
    return [person for person in addresses(fields.raw(name), _MAX_PEOPLE) if "@" in person.address]


def _list_post(header: bytes) -> list[Address]:
    for name, value in pairs(header):
        if name.lower() == b"list-post" and (found := _POST.search(unfold(value))):
            return [Address("", found[1])]
    return []


def _each(people: Iterable[Address]) -> list[Address]:
    return list({person.address.lower(): person for person in reversed(list(people))}.values())[::-1]


def _is_own(person: Address, own: Collection[str]) -> bool:
    return person.address.lower() in {address.lower() for address in own}


# The thread


def thread(header: bytes) -> Thread:
    """RFC 5322 3.6.4: the mail's own ID, and its references with that at their end."""
    said = {name.lower(): unfold(value) for name, value in reversed(pairs(header))}
    own = _ID.findall(said.get(b"message-id", ""))[:1]
    before = _ID.findall(said.get(b"references", ""))
    if not before:
        parents = _ID.findall(said.get(b"in-reply-to", ""))
        before = parents if len(parents) == 1 else []
    chain = list(dict.fromkeys([*before, *own]))
    return Thread(own[0] if own else "", " ".join(chain))


# What is quoted


def quoted(html: str, text: str, introduction: str) -> str:
    """For an answer: the original set back under a line that says whose it is. No remote images: they would tell
    their sender of each reader of the answer.
    """
    body = _without_blocked(_inlined(html, remote=False)) if html else _from_text(text)
    return (
        f'<div class="quote"><p>{escape(introduction)}</p>'
        f'<blockquote type="cite" style="{QUOTE_STYLE}">{body}</blockquote></div>'
    )


def forwarded(html: str, text: str, heading: str, fields: Iterable[tuple[str, str]]) -> str:
    """For a forward: the original as its author designed it, under what its header said."""
    lines = "<br>".join(f"<b>{escape(label)}:</b> {escape(value)}" for label, value in fields if value)
    body = _inlined(html, remote=True) if html else _from_text(text)
    return f'<div class="quote"><p>{escape(heading)}</p><p>{lines}</p>{body}</div>'


def _from_text(text: str) -> str:
    return f'<div style="white-space: pre-wrap">{escape(text.strip())}</div>'


def _inlined(html: str, *, remote: bool) -> str:
    """Cleaned, its style sheets moved into the elements: a sheet would restyle what is written above it, too."""
    cleaned = sanitize.clean(
        html, inline_url=lambda cid: f"cid:{cid}", image_url=(lambda url: url) if remote else None
    ).html
    if not cleaned.startswith("<style>"):
        return cleaned
    sheet, _, body = cleaned.removeprefix("<style>").partition("</style>")
    if _is_deep(body):
        return body.strip()
    try:
        return _INLINER.inline_fragment(body, sheet).strip()
    except css_inline.InlineError:
        return body.strip()


def _is_deep(html: str) -> bool:
    depth = deepest = 0
    for tag in re.finditer(r"<(/?)([a-z0-9]+)", html):
        if tag[2] not in ("br", "img", "hr", "col", "wbr"):
            depth += -1 if tag[1] else 1
            deepest = max(deepest, depth)
    return deepest > _MAX_DEPTH


def _without_blocked(html: str) -> str:
    """Images that were left out give way to their description."""
    if sanitize.PLACEHOLDER not in html:
        return html
    tree = LexborHTMLParser(html)
    for image in tree.css("img"):
        if image.attributes.get("src") == sanitize.PLACEHOLDER:
            _describe(image)
    return tree.body.inner_html or "" if tree.body else ""


def _describe(image: LexborNode) -> None:
    described = (image.attributes.get("alt") or "").strip()
    if described:
        image.replace_with(f"[{described}]")
    else:
        image.decompose()
