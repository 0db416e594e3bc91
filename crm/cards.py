"""Contacts out of files: CSV as address books export it, and vCards. Nothing is written here; nothing raises for what
is in the file: a row that cannot be taken is reported with its number and the reason."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import vobject
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

MOST_ROWS = 5_000
MOST_BYTES = 5 * 1024 * 1024

# What a heading must contain, lower-case and without blanks; the first that fits counts.
_HEADINGS = (
    ("address", re.compile(r"mail(?!ing)(?!.*(?:type|label))|почта")),
    ("company", re.compile(r"company|organi[sz]ation(1-)?name|^organi[sz]ation$|firma|bedrijf|entreprise|компания")),
    ("position", re.compile(r"jobtitle|position|^title$|organization1-title|funktion|functie|должность")),
    ("phone", re.compile(r"(phone|telefon|telefoon|t[ée]l[ée]phone|mobil|телефон)(?!.*(?:type|label))")),
    ("notes", re.compile(r"^notes?$|notizen|remarks|comment|заметки")),
    ("given", re.compile(r"givenname|firstname|vorname|voornaam|pr[ée]nom|^имя$")),
    ("family", re.compile(r"familyname|lastname|surname|nachname|achternaam|nomdefamille|фамилия")),
    ("name", re.compile(r"^(full|display)?name$|^fn$|^naam$|^nom$|^фио$|^contact$")),
)  # fmt: skip
_CARD = re.compile(r"BEGIN:VCARD.*?END:VCARD[^\n]*", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Card:
    """One contact of a file; `number` is its line (or its place among the vCards), as people count."""

    number: int
    name: str
    addresses: list[str] = field(default_factory=list)
    company: str = ""
    position: str = ""
    phone: str = ""
    notes: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Problem:
    number: int
    sentence: str


@dataclass(slots=True)
class Found:
    cards: list[Card] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read(data: bytes) -> Found:
    """What the file holds, by its content and not by its name. One problem with number 0 concerns all of it."""
    text = _text(data)
    found = Found()
    if not text.strip():
        found.problems.append(Problem(0, _("The file is empty.")))
        return found
    rows = _cards(text, found) if _CARD.search(text) else _rows(text, found)
    seen: dict[str, int] = {}
    for card in rows:
        if len(found.cards) >= MOST_ROWS:
            found.problems.append(Problem(0, _("Only the first %(n)s are taken.") % {"n": MOST_ROWS}))
            break
        problem = _problem(card, seen)
        if problem:
            found.problems.append(Problem(card.number, problem))
        else:
            seen |= dict.fromkeys(card.addresses, card.number)
            found.cards.append(card)
    return found


def _text(data: bytes) -> str:
    """Excel says UTF-16 with a mark, or an old Windows page without a word."""
    data = data[:MOST_BYTES]
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return data.decode("utf-16", "replace").replace("\0", "")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    return text.replace("\0", "")


def _problem(card: Card, seen: dict[str, int]) -> str:
    if not card.name and not card.addresses:
        return _("There is neither a name nor an address.")
    for address in card.addresses:
        try:
            validate_email(address)
        except ValidationError:
            return _("“%(address)s” is not an e-mail address.") % {"address": address[:100]}
        if address in seen:
            return _("%(address)s is in row %(n)s already.") % {"address": address, "n": seen[address]}
    return ""


# CSV


def _rows(text: str, found: Found) -> Iterator[Card]:
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns = _columns(next(reader, []))
    if "address" not in columns and "name" not in columns and "given" not in columns:
        sentence = _("The first line must name the columns: at least “Name” or “E-mail”.")
        found.problems.append(Problem(0, sentence))
        return
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield _card_of(row, columns, reader.line_num)
    except csv.Error:
        found.problems.append(Problem(reader.line_num, _("From here on the file cannot be read.")))


def _columns(headings: Sequence[str]) -> list[str]:
    """What each column means, "" for what is not taken."""
    plain = ["".join(heading.lower().split()) for heading in headings]
    return [next((name for name, form in _HEADINGS if form.search(heading)), "") for heading in plain]


def _card_of(row: Sequence[str], columns: Sequence[str], number: int) -> Card:
    told: dict[str, list[str]] = {}
    for column, cell in zip(columns, row, strict=False):
        if cell.strip():
            told.setdefault(column, []).append(cell.strip())
    first = {name: values[0] for name, values in told.items()}
    name = first.get("name") or " ".join(first[part] for part in ("given", "family") if part in first)
    # Google writes several addresses into one cell.
    addresses = [
        each for cell in told.get("address", []) for each in re.split(r"\s*(?::::|[,;\s])\s*", cell) if each
    ]
    return _card(
        number, name, addresses, first.get("company", ""), first.get("position", ""), first.get("phone", ""),
        first.get("notes", ""),
    )  # fmt: skip


# vCards


def _cards(text: str, found: Found) -> Iterator[Card]:
    for number, source in enumerate(_CARD.findall(text), start=1):
        try:
            card = vobject.readOne(source, ignoreUnreadable=True)
            yield _of_vcard(card, number)
        except Exception:  # of a foreign parser at a foreign file anything may come
            found.problems.append(Problem(number, _("This vCard cannot be read.")))


def _of_vcard(card: Any, number: int) -> Card:
    def values(name: str) -> list[str]:
        return [text for line in getattr(card, f"{name}_list", []) if (text := _plain(line.value))]

    def first(name: str) -> str:
        return next(iter(values(name)), "")

    return _card(
        number,
        first("fn") or first("n"),
        values("email"),
        first("org"),
        first("title"),
        first("tel"),
        first("note"),
    )


def _plain(value: Any) -> str:
    """A name has parts, an organisation has units: the first is what it is called."""
    if isinstance(value, list | tuple):
        value = next((part for part in value if part), "")
    return " ".join(str(value).replace("\0", "").split())


def _card(
    number: int, name: str, addresses: Sequence[str], company: str, position: str, phone: str, notes: str
) -> Card:
    clean = list(dict.fromkeys(address.strip("<>").lower() for address in addresses))
    return Card(
        number=number,
        name=(name or next(iter(clean), ""))[:200],
        addresses=clean[:20],
        company=company[:200],
        position=position[:120],
        phone=phone[:60],
        notes=notes[:5_000],
    )
