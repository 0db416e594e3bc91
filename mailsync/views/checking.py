"""Is everything here? What the comparisons with the server said, in words; a click asks for another."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import OuterRef, Subquery
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import formats, timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from accounts import audit
from accounts.models import Employee
from accounts.spreadsheets import cell
from accounts.views import RequestOfEmployee
from mailsync import access, schedule
from mailsync.models import Folder, FolderCheck, GrantLevel, Mailbox, MailboxState, Schedule, SpecialUse
from mailsync.sync.ledger import Cause
from mailsync.templatetags.mail import grouped
from plans.subscriptions import limits_for

SECTION = {"section": "mailboxes"}
HISTORY_ROWS = 400
HISTORY_SHOWN = 10
LINES_SHOWN = 8  # with more folders than this, those that are equal are folded away
WAITING_TOO_LONG = timedelta(seconds=45)
# What somebody should look at; everything else is as it should be.
WRONG = {Cause.MISSING, Cause.HELD}


@dataclass(frozen=True, slots=True)
class Line:
    """A folder with its last comparison; `tone` is equal, explained, wrong or unknown."""

    path: str
    role: str
    check: FolderCheck | None
    tone: str
    reasons: tuple["Reason", ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """One cause in words, with the UIDs that were named (each {"uid", "received_at", "size", "why"})."""

    cause: str
    words: str
    wrong: bool
    named: tuple[dict[str, Any], ...]
    unnamed: int


@dataclass(slots=True)
class Round:
    """The folders that were compared in one go, added up."""

    at: datetime
    asked_by: Employee | None
    folders: set[str] = field(default_factory=set)
    equal: int = 0
    failure: str = ""  # why none of them could be compared
    differences: list[dict[str, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def add(self, check: FolderCheck) -> None:
        self.folders.add(check.path)
        self.equal += check.server_count is not None and not check.differences
        self.differences += check.differences
        if not check.path:
            self.failure = check.error
        elif check.error:
            self.errors.append(f"{check.path}: {check.error}")

    @property
    def words(self) -> list[str]:
        """Equal folders, then the sum of each cause, then what could not be compared."""
        said = [self.failure] if self.failure else []
        if self.equal or not said:
            said.append(ngettext("%(n)d folder equal", "%(n)d folders equal", self.equal) % {"n": self.equal})
        for cause in Cause:
            of_cause = [each for each in self.differences if each["cause"] == cause]
            if of_cause:
                said.append(_words({**of_cause[0], "count": sum(each["count"] for each in of_cause)}))
        return said + self.errors


@login_required
@require_GET
def completeness(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """The page, or its part, which asks again while a comparison runs."""
    mailbox = access.get_mailbox(request.user, mailbox_id, GrantLevel.READ)
    template = "mail/checking/_card.html" if request.headers.get("HX-Request") else "mail/checking/page.html"
    return render(request, template, _context(request, mailbox))


@login_required
@require_POST
def check_now(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """A worker compares; the page watches."""
    mailbox = access.get_mailbox(request.user, mailbox_id, GrantLevel.MANAGE)
    schedule.ask_check(mailbox.pk, by_id=request.user.pk)
    if request.headers.get("HX-Request"):
        return render(request, "mail/checking/_card.html", _context(request, mailbox))
    return redirect("mail:completeness", mailbox.pk)


@login_required
@require_GET
def export(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """Every comparison that is kept, one line a difference, newest first."""
    mailbox = access.get_mailbox(request.user, mailbox_id, GrantLevel.READ)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="checks-{mailbox.pk}.csv"'
    audit.record(
        "export.made", f"checks of {mailbox.address}", account_id=mailbox.account_id, by=request.user
    )
    lines = csv.writer(response)
    lines.writerow(
        ["at", "folder", "server", "here", "cause", "count", "uids", "repaired", "error", "asked_by"]
    )
    for check in _checks(mailbox).iterator(chunk_size=2000):
        lines.writerows(_csv_lines(check))
    return response


def _csv_lines(check: FolderCheck) -> Iterable[list[object]]:
    """A folder without differences has one line, whose cause is "equal", or none if it was not compared."""
    nothing: dict[str, Any] = {"cause": "" if check.error else "equal", "count": 0, "named": []}
    for each in check.differences or [nothing]:
        uids = " ".join(str(named["uid"]) for named in each["named"])
        yield [
            check.at.isoformat(), cell(check.path), check.server_count, check.here_count, each["cause"],
            each["count"], uids, check.repaired, cell(check.error), cell(str(check.asked_by or "")),
        ]  # fmt: skip


def _checks(mailbox: Mailbox) -> Any:
    return FolderCheck.objects.filter(mailbox=mailbox).select_related("asked_by").order_by("-at", "-pk")


def _context(request: RequestOfEmployee, mailbox: Mailbox) -> dict[str, Any]:
    lines = _lines(mailbox)
    asked_at = Schedule.objects.filter(mailbox=mailbox).values_list("check_asked_at", flat=True).first()
    rounds = _rounds(list(_checks(mailbox)[:HISTORY_ROWS]))
    set_aside = mailbox.state == MailboxState.SET_ASIDE
    folded = [line for line in lines if line.tone == "equal"] if len(lines) > LINES_SHOWN else []
    return {
        **SECTION,
        "mailbox": mailbox,
        "lines": lines,
        "shown": [line for line in lines if line not in folded],
        "folded": folded,
        "tones": {line.tone for line in lines},
        "server": sum(line.check.server_count or 0 for line in lines if line.check),
        "here": sum(line.check.here_count or 0 for line in lines if line.check),
        "causes": {reason.cause for line in lines for reason in line.reasons},
        "off": mailbox.folders.filter(syncing=False, selectable=True).count(),
        "asked_at": asked_at,
        "done": sum(_is_of(line.check, asked_at) for line in lines),
        "late": asked_at is not None and timezone.now() - asked_at > WAITING_TOO_LONG,
        "last": rounds[0] if rounds else None,
        "rounds": rounds,
        "set_aside": set_aside,
        "may_check": not set_aside
        and mailbox.paused_at is None
        and access.may(request.user, mailbox, GrantLevel.MANAGE)
        and limits_for(request.user.account, request.user.account.today()).sync_enabled,
    }


def _is_of(check: FolderCheck | None, asked_at: datetime | None) -> bool:
    return check is not None and asked_at is not None and check.at >= asked_at


def _lines(mailbox: Mailbox) -> list[Line]:
    newest = FolderCheck.objects.filter(folder=OuterRef("pk")).order_by("-at").values("pk")[:1]
    in_step = mailbox.folders.filter(syncing=True, selectable=True, deleting=False)
    folders = in_step.annotate(newest=Subquery(newest))
    rows = sorted(
        folders.defer("name"), key=lambda one: (one.special_use != SpecialUse.INBOX, one.path.lower())
    )
    checks = FolderCheck.objects.in_bulk([row.newest for row in rows if row.newest])
    return [_line(row, checks.get(row.newest)) for row in rows]


def _line(folder: Folder, check: FolderCheck | None) -> Line:
    if check is None or check.error:
        return Line(folder.path, folder.special_use, check, "unknown")
    reasons = tuple(_reason(each) for each in check.differences)
    tone = "equal"
    if reasons:
        tone = "wrong" if any(reason.wrong for reason in reasons) else "explained"
    return Line(folder.path, folder.special_use, check, tone, reasons)


def _reason(difference: dict[str, Any]) -> Reason:
    named = tuple(
        {**each, "received_at": parse_datetime(each["received_at"]) if each["received_at"] else None}
        for each in difference["named"]
    )
    cause = difference["cause"]
    return Reason(cause, _words(difference), cause in WRONG, named, max(0, difference["count"] - len(named)))


def _words(difference: dict[str, Any]) -> str:
    n = difference["count"]
    since = parse_datetime(difference.get("since", ""))
    day = formats.date_format(timezone.localtime(since), "DATE_FORMAT") if since else ""
    said = {
        Cause.OLDER: _("%(n)s older than %(day)s: your plan and the chosen days begin there"),
        Cause.DISCARDED: _("%(n)s removed from Mailbound on purpose"),
        Cause.SKIPPED: _("%(n)s too large or unreadable"),
        Cause.LEAVING: _("%(n)s moved or deleted here; the server hears of it next"),
        Cause.ARRIVED: _("%(n)s arrived since the last sync"),
        Cause.FETCHING: _("%(n)s not fetched yet"),
        Cause.LEFT: _("%(n)s left the server during the comparison"),
        Cause.MARKED: _("%(n)s moved or deleted: the server keeps them, marked as deleted"),
        Cause.MISSING: ngettext(
            "%(n)s was missing without a reason: it is fetched again",
            "%(n)s were missing without a reason: they are fetched again",
            n,
        ),
        Cause.REMOVED: _("%(n)s here and no longer on the server: removed there since the last sync"),
        Cause.HELD: _("%(n)s suddenly gone from the server: kept here until somebody decides"),
        Cause.COMING: _("%(n)s moved here; the server has not confirmed it yet"),
    }
    return said[Cause(difference["cause"])] % {"n": grouped(n), "day": day}


def _rounds(checks: list[FolderCheck]) -> list[Round]:
    """Newest first. One comparison looks at each folder once, so a folder that comes again begins an earlier one."""
    rounds: list[Round] = []
    for check in checks:
        if not rounds or rounds[-1].asked_by != check.asked_by or check.path in rounds[-1].folders:
            if len(rounds) == HISTORY_SHOWN:
                break
            rounds.append(Round(check.at, check.asked_by))
        rounds[-1].add(check)
    return rounds


urls = [
    path("mailboxes/<int:mailbox_id>/complete/", completeness, name="completeness"),
    path("mailboxes/<int:mailbox_id>/complete/check/", check_now, name="completeness-check"),
    path("mailboxes/<int:mailbox_id>/complete/checks.csv", export, name="completeness-export"),
]
