"""Who else has access to a mailbox: the grants, what a change would mean, and the table of what each level opens."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import Department, Employee
from accounts.views import RequestOfEmployee
from mailsync import access, connecting, levels, notices, sharing, unread
from mailsync.connecting import CannotConnect
from mailsync.models import GrantLevel, Mailbox, Notice
from mailsync.sharing import Holder, Seer, key_of
from plans.offers import plan_name
from plans.subscriptions import limits_for

SECTION = {"section": "mailboxes"}


@dataclass(frozen=True, slots=True)
class Line:
    """A grant as the form shows it: `level` as chosen, `kept` as it is."""

    key: str
    holder: Holder
    level: str
    kept: str
    people: int

    @property
    def is_department(self) -> bool:
        return isinstance(self.holder, Department)


@login_required
@require_http_methods(["GET", "POST"])
def mailbox_sharing(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """The form; as it changes the page asks what that would mean (`do=preview`), and `do=save` does it."""
    mailbox = access.get_grants_of(request.user, mailbox_id)
    changes, trouble = _asked(request, mailbox)
    trouble = trouble or sharing.why_not_oneself(mailbox, sharing.preview(mailbox, changes), request.user)
    if request.method == "POST" and request.POST.get("do") == "save" and not trouble:
        try:
            done = sharing.change(mailbox, changes, by=request.user)
        except CannotConnect as refusal:
            trouble = refusal.sentence
        else:
            messages.success(request, _said(len(done)))
            return _back(request.user, mailbox)
    return _page(request, mailbox, changes, trouble)


@login_required
@require_safe
def rights(request: RequestOfEmployee) -> HttpResponse:
    """What each level opens."""
    rows = [(deed.words, [deed.at(level) for level in GrantLevel.values]) for deed in levels.TABLE]
    context = {**SECTION, "levels": GrantLevel.labels, "rows": rows}
    return render(request, "mail/sharing/rights.html", context)


@login_required
@require_POST
def notice(request: RequestOfEmployee, told_id: int) -> HttpResponse:
    """The employee has read it."""
    notices.see(get_object_or_404(Notice, pk=told_id, employee=request.user))
    return HttpResponse() if request.headers.get("HX-Request") else redirect("mail:inbox")


@login_required
@require_POST
def mailbox_reading(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """Whether read and unread are one for everybody, or each person has their own."""
    mailbox = access.get_settings_of(request.user, mailbox_id)
    said = {
        "0": _("Saved. Read and unread are one for everybody."),
        "1": _("Saved. Each person has read and unread of their own."),
    }
    apart = request.POST.get("apart", "")
    if apart in said:
        unread.switch(mailbox, apart=apart == "1", by=request.user)
        messages.success(request, said[apart])
    else:
        messages.error(request, _("Choose one of the two."))
    return redirect(f"{reverse('mail:mailbox-settings', args=[mailbox.pk])}#reading")


def would_change(mailbox: Mailbox, seers: Sequence[Seer]) -> str:
    """What the other choice would mean, for the people who have access now."""
    if not seers:
        return _("Nobody else has access yet: it makes a difference as soon as somebody has.")
    n = unread.would_stay(mailbox)
    words = {"owner": mailbox.owner, "names": _names(seers), "n": n}
    if mailbox.read_apart_since:
        return (
            _(
                "If it is one for everybody again, all see what %(owner)s has read. What each of the others has read "
                "is kept for a day: change it back within that time, and all is as it was."
            )
            % words
        )
    stays = ngettext(
        "If each person has their own, the %(n)d message that is unread now stays unread for %(names)s, each until "
        "they have read it. Whoever gets access later begins with everything read.",
        "If each person has their own, the %(n)d messages that are unread now stay unread for %(names)s, each until "
        "they have read them. Whoever gets access later begins with everything read.",
        n,
    )
    nothing = _(
        "If each person has their own, what comes in is unread for %(names)s, each until they have read it. Whoever "
        "gets access later begins with everything read."
    )
    return (stays if n else nothing) % words


def _names(seers: Sequence[Seer], most: int = 3) -> str:
    names = [str(seer.employee) for seer in seers[:most]]
    more = len(seers) - most
    if more > 0:
        names.append(ngettext("%(n)d colleague more", "%(n)d colleagues more", more) % {"n": more})
    return get_text_list(names, _("and"))


def _back(employee: Employee, mailbox: Mailbox) -> HttpResponse:
    """To the page again, while it is theirs to see."""
    if access.may(employee, mailbox, GrantLevel.MANAGE) or (employee.is_admin and mailbox.grants.exists()):
        return redirect("mail:mailbox-sharing", mailbox.pk)
    return redirect("mail:mailboxes")


def _asked(request: RequestOfEmployee, mailbox: Mailbox) -> tuple[dict[Holder, str], str]:
    """What the form wants to be different, and a sentence where it names what there is not."""
    known = {key_of(holder): holder for holder in (*sharing.possible(mailbox), *sharing.holders(mailbox))}
    said = request.POST.dict()
    asked = {name[6:]: level for name, level in said.items() if name.startswith("level-")}
    if said.get("who"):
        asked[said["who"]] = said.get("level", "")
    if not asked.keys() <= known.keys():
        return {}, _("Somebody named here is no longer in your company. Look at the list again.")
    if not set(asked.values()) <= {"", *GrantLevel.values}:
        return {}, _("Choose what they may do.")
    return {known[key]: level for key, level in asked.items()}, ""


def _page(
    request: RequestOfEmployee, mailbox: Mailbox, changes: dict[Holder, str], trouble: str
) -> HttpResponse:
    now = sharing.holders(mailbox)
    seers = sharing.preview(mailbox, changes)
    new = request.POST.get("who", "")
    possible = [holder for holder in sharing.possible(mailbox) if holder not in now]
    context = {
        **SECTION,
        "mailbox": mailbox,
        "trouble": trouble,
        "lines": [_line(holder, level, changes) for holder, level in now.items()],
        "departments": [(key_of(each), each) for each in possible if isinstance(each, Department)],
        "colleagues": [(key_of(each), each) for each in possible if isinstance(each, Employee)],
        "who": new,
        "level": request.POST.get("level", GrantLevel.READ),
        "levels": GrantLevel.choices,
        "seers": seers,
        "is_change": any(now.get(holder, "") != level for holder, level in changes.items()),
        "ends": bool(now)
        and not any(changes.get(holder, level) for holder, level in (now | changes).items()),
        "counted": _counted(mailbox, now=bool(now)),
        "refusal": "" if now else connecting.why_not_share(mailbox.account, mailbox.account.today()),
    }
    part = request.headers.get("HX-Request")
    template = "mail/sharing/_preview.html" if part else "mail/sharing/page.html"
    return render(request, template, context, status=422 if trouble and not part else 200)


def _line(holder: Holder, level: str, changes: dict[Holder, str]) -> Line:
    people = holder.employees.filter(is_active=True).count() if isinstance(holder, Department) else 1
    return Line(key_of(holder), holder, changes.get(holder, level), level, people)


def _counted(mailbox: Mailbox, *, now: bool) -> str:
    """How the mailbox counts against the plan; "" where sharing is not limited."""
    account = mailbox.account
    limits = limits_for(account, account.today())
    if limits.shared_mailboxes is None:
        return ""
    values = {
        "plan": plan_name(limits.plan),
        "used": connecting.shared_mailboxes(account),
        "room": limits.shared_mailboxes,
    }
    if now:
        return _("It is one of %(used)d shared mailboxes; the plan %(plan)s allows %(room)d.") % values
    return (
        _("Sharing it counts once, with however many: %(used)d of %(room)d are shared (%(plan)s).") % values
    )


def _said(different: int) -> str:
    if not different:
        return _("Saved. Nobody sees more or less than before.")
    return ngettext(
        "Saved. %(n)d person has been told what is different for them.",
        "Saved. %(n)d people have been told what is different for them.",
        different,
    ) % {"n": different}


urls = [
    path("mailboxes/<int:mailbox_id>/sharing/", mailbox_sharing, name="mailbox-sharing"),
    path("mailboxes/<int:mailbox_id>/reading/", mailbox_reading, name="mailbox-reading"),
    path("mail/notices/<int:told_id>/seen/", notice, name="notice"),
    path("mailboxes/rights/", rights, name="rights"),
]
