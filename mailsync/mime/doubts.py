"""What a careful colleague would ask before a letter goes. Pure: words and addresses in, findings out."""

import re
from collections.abc import Collection, Iterable

from mailsync.mime import placeholders, plain

# In the languages of our people; stems, so that their endings do not matter. No plain "file": it is said too often.
_ATTACHED = re.compile(
    r"\b(?:attach(?:ed|ment|ing)|enclosed|see the (?:file|pdf)|anbei|angehängt|im anhang|anlage|beigefügt"
    r"|ci-joint|pièces? jointes?|adjunt[oa]|allegat[oi]|em anexo|bijgevoegd|bijlage|bifogad|vedhæftet|vedlagt"
    r"|w załączniku|załącz|v příloze|прилага|во вложении|вложен)",
    re.IGNORECASE,
)
# Where a slip of the finger ends in somebody else's mailbox, or in none.
_USUAL = (
    "gmail.com", "mail.com", "ymail.com", "email.com", "googlemail.com",
    "outlook.com", "hotmail.com", "live.com", "yahoo.com", "icloud.com", "aol.com",
    "gmx.de", "gmx.net", "web.de", "t-online.de", "freenet.de", "mail.ru", "yandex.ru", "proton.me",
    "protonmail.com", "orange.fr", "free.fr", "libero.it", "wp.pl", "seznam.cz",
)  # fmt: skip


def speaks_of_attachment(html: str) -> bool:
    """Whether the letter itself, without signature and quotations, says that something is attached."""
    return bool(_ATTACHED.search(_own_words(html)))


def unfilled(subject: str, html: str) -> list[str]:
    """Fields of a template that nobody has filled, also where part of one was made bold."""
    return [f"{{{field}}}" for field in placeholders.found(f"{subject}\n{_own_words(html)}")]


def _own_words(html: str) -> str:
    own = html.partition('<div class="signature"')[0]
    return "\n".join(line for line in plain.text(own).splitlines() if not line.startswith(">"))


def slips(addresses: Iterable[str], known: Collection[str]) -> list[tuple[str, str]]:
    """(address, domain that was probably meant) for each whose domain is one letter beside a usual or known one."""
    meant = [*_USUAL, *(domain.lower() for domain in known)]
    found = []
    for address in addresses:
        domain = address.rpartition("@")[2].lower()
        near = next((each for each in meant if _is_a_slip(domain, each)), None)
        if domain not in meant and near:
            found.append((address, near))
    return found


def _is_a_slip(typed: str, meant: str) -> bool:
    """One letter more, less, other, or two exchanged."""
    if typed == meant or abs(len(typed) - len(meant)) > 1 or len(meant) < 6:
        return False
    start = next(
        (n for n, (a, b) in enumerate(zip(typed, meant, strict=False)) if a != b), min(len(typed), len(meant))
    )
    rest, other = typed[start:], meant[start:]
    swapped = len(rest) > 1 and len(other) > 1 and rest[:2] == other[1::-1] and rest[2:] == other[2:]
    return swapped or rest[1:] == other[1:] or rest[1:] == other or rest == other[1:]
