"""What a run finds that is rehearsed (rehearsal.py), and what must be seen when it is over."""

from collections.abc import Callable
from dataclasses import dataclass

from mailsync import actions, folders
from tests.catalogue.conftest import Case


@dataclass(frozen=True, slots=True)
class Morning:
    """What happens before the run that is rehearsed; after it, what lies in each folder, and with which flags."""

    begin: Callable[[Case], None]
    subjects: dict[str, list[str]]
    flags: dict[str, list[str]]


def _much_on_both_sides(case: Case) -> None:
    """Arrivals, flags, a move and a removal there; flags, a move, a removal and a new folder here; nothing sent yet."""
    for number in range(6):
        case.deliver(f"Mail {number}")
    case.deliver("Thrown away", folder="Trash")
    case.sync()
    with case.acting():
        actions.set_flags(case.chosen("Mail 0"), add=["\\Seen"], by=case.world.ann)
        actions.archive(case.chosen("Mail 1"), by=case.world.ann)
        actions.expunge(case.chosen("Thrown away", path="Trash"), by=case.world.ann)
        folders.create_folder(case.mailbox, "Plans", by=case.world.ann)
    case.phone_moves("Mail 3", "Sent")
    case.phone_removes("Mail 4")
    case.phone_flags("+", "\\Flagged", "Mail 5")
    for number in range(6, 9):
        case.deliver(f"Mail {number}", text="x\r\n" * 200 * (number == 7))
    case.removed("Thrown away")


def _a_mailbox_full_of_mail(case: Case) -> None:
    """Never fetched before: mail in several folders, one of which we do not know, a long one, and a copy."""
    for number in range(4):
        case.deliver(f"Mail {number}", text="x\r\n" * 200 * (number == 2))
    case.deliver("Answer", folder="Sent", flags="\\Seen")
    case.deliver("Idea", folder="Plans")
    case.deliver("Thrown away", folder="Trash")
    case.phone_copies("Mail 1", "Archive")
    case.phone_flags("+", "\\Flagged", "Mail 3")


BUSY = Morning(
    _much_on_both_sides,
    {
        "INBOX": ["Mail 0", "Mail 2", "Mail 5", "Mail 6", "Mail 7", "Mail 8"],
        "Archive": ["Mail 1"],
        "Sent": ["Mail 3"],
        "Trash": [],
        "Plans": [],
    },
    {"Mail 0": ["\\Seen"], "Mail 5": ["\\Flagged"]},
)
FIRST = Morning(
    _a_mailbox_full_of_mail,
    {
        "INBOX": ["Mail 0", "Mail 1", "Mail 2", "Mail 3"],
        "Archive": ["Mail 1"],
        "Sent": ["Answer"],
        "Trash": ["Thrown away"],
        "Plans": ["Idea"],
    },
    {"Mail 0": [], "Mail 3": ["\\Flagged"]},
)
