"""In words what became of a letter that is no draft any more, and what receiving servers reported of it since."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.models import Employee
from mailsync import access
from mailsync.models import (
    DeliveryReport,
    GrantLevel,
    OperationKind,
    OperationState,
    Outgoing,
    OutgoingState,
)
from mailsync.views.letter import Attached, attached

_ICONS = {
    OutgoingState.DRAFT: "file-pen",
    OutgoingState.QUEUED: "clock",
    OutgoingState.SENDING: "loader",
    OutgoingState.SENT: "circle-check",
    OutgoingState.REFUSED: "circle-alert",
    OutgoingState.UNSURE: "circle-question-mark",
    OutgoingState.DISCARDED: "trash-2",
}
# What a report of delivery says of one recipient (RFC 3464 2.3.3).
_REPORTED = {
    "failed": gettext_lazy("It did not reach %(who)s."),
    "delayed": gettext_lazy("It has not reached %(who)s yet; the servers go on trying."),
    "delivered": gettext_lazy("It has reached %(who)s."),
    "relayed": gettext_lazy("It went on towards %(who)s, to a server that tells nothing more."),
    "expanded": gettext_lazy("It was passed on to those behind %(who)s."),
}


@dataclass(frozen=True, slots=True)
class Reported:
    """The latest that was reported of one recipient; `words` are the server's."""

    sentence: str
    words: str
    failed: bool
    recipient: str


def reported(reports: Iterable[DeliveryReport]) -> list[Reported]:
    """By recipient, those who did not get it first."""
    latest = {each.recipient.lower(): each for each in sorted(reports, key=lambda one: (one.at, one.pk))}
    found = [
        Reported(
            _REPORTED[each.action] % {"who": each.recipient},
            each.words,
            each.action == "failed",
            each.recipient,
        )
        for each in latest.values()
    ]
    return sorted(found, key=lambda one: not one.failed)


@dataclass(frozen=True, slots=True)
class State:
    """A letter that is no draft. `opens`: who looks at it may open its page, and act there."""

    letter: Outgoing
    opens: bool = True

    @property
    def icon(self) -> str:
        return "circle-alert" if self.came_back else _ICONS[OutgoingState(self.letter.state)]

    @property
    def tone(self) -> str:
        """The colour of its banner and its sign in lists; "" is none."""
        if self.letter.state == OutgoingState.REFUSED:
            return "bad"
        if self.letter.state == OutgoingState.UNSURE or self.came_back or self.letter.refused:
            return "warn"
        return "good" if self.letter.state == OutgoingState.SENT else ""

    @property
    def sentence(self) -> str:
        return _sentence(self.letter)

    @property
    def explained(self) -> str:
        return _explained(self.letter)

    @property
    def refused(self) -> list[tuple[str, str]]:
        """(address, the server's words), where they say more than the explanation of all."""
        return sorted(each for each in self.letter.refused.items() if each[1] != self.letter.error)

    @property
    def reports(self) -> list[Reported]:
        return reported(self.letter.reports.all())

    @property
    def came_back(self) -> list[str]:
        """From whom."""
        return [each.recipient for each in self.reports if each.failed]

    @property
    def troubled(self) -> bool:
        """Whether its state alone would leave open what happened, and what to do now."""
        return self.tone in ("bad", "warn") or bool(
            self.letter.state == OutgoingState.QUEUED and self.letter.error
        )

    @property
    def way(self) -> str:
        """What its page offers."""
        if self.letter.state == OutgoingState.REFUSED:
            return _("Change it or try again")
        if self.letter.state == OutgoingState.UNSURE:
            return _("Say whether it arrived")
        return _("Open the letter")

    @property
    def undo_seconds(self) -> int:
        if self.letter.state != OutgoingState.QUEUED or self.letter.planned or not self.letter.send_at:
            return 0
        return max(0, int((self.letter.send_at - timezone.now()).total_seconds()))

    @property
    def short(self) -> str:
        """Beside the recipients' names, which need not be said again."""
        if self.came_back:
            return _("Came back from %(who)s") % {"who": self.came_back[0]}
        if self.letter.state == OutgoingState.SENT and self.letter.refused:
            return _("%(sent)s, not to all") % {"sent": self.sentence}
        goes = self.letter.state == OutgoingState.QUEUED and not self.letter.planned and not self.letter.error
        return _("Leaves in a moment") if goes else self.sentence

    @property
    def whom(self) -> str:
        return whom(self.letter)

    @property
    def people(self) -> list[tuple[str, list[list[str]]]]:
        labels = (_("To"), self.letter.to), (_("Cc"), self.letter.cc), (_("Bcc"), self.letter.bcc)
        return [(label, people) for label, people in labels if people]

    @property
    def files(self) -> list[Attached]:
        return [attached(file) for file in self.letter.attachments.filter(inline=False).order_by("pk")]

    @property
    def may_undo(self) -> bool:
        waits = self.letter.state in (OutgoingState.QUEUED, OutgoingState.REFUSED)
        return waits and not self.letter.accepted


def state_of(letter: Outgoing) -> State:
    return State(letter)


def state_for(employee: Employee, letter: Outgoing) -> State:
    """On a page of somebody who may see that it exists, and perhaps not open it; its `mailbox` is at hand."""
    return State(letter, access.may(employee, letter.mailbox, GrantLevel.REPLY))


def unsettled(employee: Employee, message_ids: Iterable[str]) -> dict[str, State]:
    """By Message-ID, the company's letters among these that have not left, or that did not reach everybody."""
    failed = DeliveryReport.objects.filter(outgoing=OuterRef("pk"), action="failed")
    named = Outgoing.objects.filter(
        account_id=employee.account_id, message_id__in=[each for each in message_ids if each]
    )
    found = named.filter(~Q(state=OutgoingState.SENT) | ~Q(refused={}) | Exists(failed))
    rows = found.select_related("mailbox", "by").prefetch_related("reports")
    return {
        letter.message_id: state_for(employee, letter)
        for letter in rows.defer("header", "html", "text", "quoted")
    }


def _sentence(letter: Outgoing) -> str:
    if letter.state == OutgoingState.QUEUED:
        return _queued(letter)
    if letter.state == OutgoingState.SENT:
        return _("Sent %s") % _when(letter.sent_at)
    return {
        OutgoingState.DRAFT: _("Draft, kept %s") % _when(letter.updated_at),
        OutgoingState.SENDING: _("Being sent at this moment"),
        OutgoingState.REFUSED: _("The server did not take it"),
        OutgoingState.UNSURE: _("Nobody knows whether it arrived"),
        OutgoingState.DISCARDED: _("Thrown away %s") % _when(letter.updated_at),
    }[OutgoingState(letter.state)]


def _queued(letter: Outgoing) -> str:
    if letter.planned:
        return _("Will be sent %s") % _when(letter.send_at)
    if letter.error:
        return _("Not sent yet, the next try is at %s") % _when(letter.due_at)
    return _("On its way to %s") % whom(letter)


def _explained(letter: Outgoing) -> str:
    if letter.state == OutgoingState.UNSURE:
        return _(
            "The connection ended after the text went out and before the server said that it has it. "
            "It is looked for in your Sent folder. If you know more, say so here: it is never sent again by itself."
        )
    return letter.error or (_of_copy(letter) if letter.state == OutgoingState.SENT else "")


def _of_copy(letter: Outgoing) -> str:
    """Why the copy of a sent letter is not in Sent on the mail server; "" where it is, or nothing went wrong."""
    trouble = letter.operations.filter(kind=OperationKind.APPEND).order_by("-pk").first()
    if trouble is None or not trouble.error or trouble.state == OperationState.DONE:
        return ""
    said = {"why": trouble.error, "time": _when(trouble.not_before)}
    if trouble.state == OperationState.FAILED:
        return _("Its copy could not be put into Sent: %(why)s") % said
    if trouble.not_before:
        return _("Its copy is not in Sent yet: %(why)s It is tried again at %(time)s.") % said
    return _("Its copy is not in Sent yet: %(why)s It is tried again.") % said


def whom(letter: Outgoing) -> str:
    """The first two recipients by name, and how many more."""
    people = [name or address for name, address in [*letter.to, *letter.cc, *letter.bcc]]
    more = len(people) - 2
    if more > 0:
        return ngettext("%(names)s and %(n)d more", "%(names)s and %(n)d more", more) % {
            "names": ", ".join(people[:2]),
            "n": more,
        }
    return ", ".join(people) or _("nobody yet")


def _when(moment: datetime | None) -> str:
    """Today the time, else date and time."""
    if moment is None:
        return ""
    local = timezone.localtime(moment)
    if local.date() == timezone.localdate():
        return date_format(local, "TIME_FORMAT")
    return date_format(local, "SHORT_DATETIME_FORMAT")
