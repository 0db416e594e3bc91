"""The list and the board, quick adding, moving between columns, and the notices of every page."""

from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Employee
from accounts.requests import next_page
from accounts.views import RequestOfEmployee
from tasks import access, actions, reading, telling
from tasks.models import Reminder, Status
from tasks.views.answers import by_htmx, tried


def colleagues(employee: Employee) -> QuerySet[Employee]:
    """Everybody who may be made responsible or let in."""
    return Employee.objects.filter(account_id=employee.account_id, is_active=True).order_by("name")


def filters() -> list[tuple[str, str]]:
    return [
        ("mine", _("Mine")),
        ("all", _("All open")),
        ("overdue", _("Overdue")),
        ("mail", _("With mail")),
        ("done", _("Done")),
    ]


def _frame(request: RequestOfEmployee, wanted: reading.Asked, name: str) -> dict[str, object]:
    """What the list and the board share: the filter as it is, and as each click would make it."""
    root = reverse(f"tasks:{name}")
    shown = [(key, label) for key, label in filters() if name == "list" or key != "done"]
    chips = []
    for key, label in shown:
        query = urlencode(reading.Asked(key, wanted.responsible, wanted.words).query)
        chips.append((label, f"{root}?{query}" if query else root, key == wanted.show))
    return {
        "section": "tasks",
        "view": name,
        "asked": wanted,
        "chips": chips,
        "query": urlencode(wanted.query),
        "colleagues": colleagues(request.user),
    }


@login_required
@require_safe
@never_cache
def task_list(request: RequestOfEmployee) -> HttpResponse:
    wanted = reading.asked(request.GET.dict())
    after = reading.Key.parse(request.GET.get("after", ""))
    rows, following = reading.page(request.user, wanted, after=after)
    more = urlencode({**wanted.query, "after": following}) if following else ""
    context = _frame(request, wanted, "list") | {"tasks": rows, "more": more, "today": timezone.localdate()}
    return render(request, "tasks/list.html", context)


@login_required
@require_safe
@never_cache
def board(request: RequestOfEmployee) -> HttpResponse:
    wanted = reading.asked(request.GET.dict())
    if wanted.show == "done":
        wanted = reading.Asked("all", wanted.responsible, wanted.words)
    context = _frame(request, wanted, "board") | {"columns": reading.board(request.user, wanted)}
    return render(request, "tasks/board.html", context)


@login_required
@require_POST
def add(request: RequestOfEmployee) -> HttpResponse:
    """A title is enough: the task is mine."""
    title = request.POST.get("title", "")
    return tried(
        request,
        lambda: actions.create(title, by=request.user),
        back=next_page(request, reverse("tasks:list")),
    )


@login_required
@require_POST
def move(request: RequestOfEmployee, task_id: int, status: str) -> HttpResponse:
    """To another status; the board moves its card itself and needs no page (204, or 422 with the reason)."""
    task = access.get_task(request.user, task_id)
    before = task.status
    try:
        actions.move(task, status)
    except telling.CannotDo as refusal:
        if request.headers.get("X-Board"):
            return HttpResponse(str(refusal), status=422, content_type="text/plain; charset=utf-8")
        messages.error(request, str(refusal))
        return redirect(next_page(request, reverse("tasks:list")))
    if request.headers.get("X-Board"):
        return HttpResponse(status=204)
    if before != status:
        sentence = _("“%(title)s” is now: %(status)s.") % {
            "title": task.title,
            "status": Status(status).label,
        }
        messages.success(request, sentence, extra_tags=reverse("tasks:move", args=[task.pk, before]))
    return redirect(next_page(request, reverse("tasks:list")))


@login_required
@require_safe
@never_cache
def notices(request: RequestOfEmployee) -> HttpResponse:
    """The reminders of this employee whose moment has come: a part of every page, which asks again each minute."""
    return render(request, "tasks/_notices.html", {"notices": reading.notices(request.user)})


@login_required
@require_POST
def seen(request: RequestOfEmployee, reminder_id: int) -> HttpResponse:
    """The employee has read the notice."""
    reminder = get_object_or_404(Reminder, pk=reminder_id, employee=request.user, raised_at__isnull=False)
    Reminder.objects.filter(pk=reminder.pk, seen_at=None).update(seen_at=timezone.now())
    return notices_of(request) if by_htmx(request) else redirect("tasks:detail", reminder.task_id)


def notices_of(request: RequestOfEmployee) -> HttpResponse:
    return render(request, "tasks/_notices.html", {"notices": reading.notices(request.user)})


urls = [
    path("", task_list, name="list"),
    path("board/", board, name="board"),
    path("add/", add, name="add"),
    path("<int:task_id>/move/<str:status>/", move, name="move"),
    path("notices/", notices, name="notices"),
    path("notices/<int:reminder_id>/seen/", seen, name="seen"),
]
