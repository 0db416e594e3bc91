"""One task: its own fields, checklist, comments, files, people, reminders, and its deletion."""

from collections.abc import Sequence

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import Employee
from accounts.requests import id_of
from accounts.views import RequestOfEmployee
from mailsync import blobs
from mailsync.views.documents import disposition
from mailsync.views.letter_state import state_for, unsettled
from tasks import access, actions, deletion, details, reading, telling, writing
from tasks.forms import ReminderForm, TaskForm
from tasks.models import ChecklistItem, Reminder, Status, Task, TaskFile
from tasks.views.answers import tried
from tasks.views.pages import colleagues


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def detail(request: RequestOfEmployee, task_id: int) -> HttpResponse:
    """The page; a POST saves the task's own fields. What was typed comes back with the refusal."""
    task = access.get_task(request.user, task_id)
    form = _form(request, task)
    if request.method == "POST" and form.is_valid():
        try:
            _save(task, form, request.user)
        except telling.CannotDo as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, _("Saved."))
            return redirect("tasks:detail", task.pk)
    return _page(request, task, form, ReminderForm(), status=422 if form.is_bound else 200)


def _form(request: RequestOfEmployee, task: Task) -> TaskForm:
    names = ("title", "description", "status", "priority", "deadline")
    initial = {name: getattr(task, name) for name in names} | {"responsible": task.responsible_id}
    people = colleagues(request.user) | Employee.objects.filter(pk=task.responsible_id)
    data = request.POST if request.method == "POST" else None
    return TaskForm(data, initial=initial, employees=people)


def _save(task: Task, form: TaskForm, by: Employee) -> None:
    typed = {name: form.cleaned_data[name] for name in form.changed_data}
    status, responsible = typed.pop("status", ""), typed.pop("responsible", None)
    actions.edit(task, **typed)
    if status:
        actions.move(task, status)
    if responsible:
        actions.assign(task, responsible, by=by)


def _page(
    request: RequestOfEmployee, task: Task, form: TaskForm, reminder: ReminderForm, *, status: int = 200
) -> HttpResponse:
    participants = list(task.participants.select_related("employee").order_by("employee__name"))
    inside = {task.responsible_id, task.by_id, *(each.employee_id for each in participants)}
    links = reading.links_of(task)
    reads_mail = access.reads_mail_of(request.user, task)
    if reads_mail:
        states = unsettled(request.user, [link.message.message_id for link in links])
        for link in links:
            link.letter_state = states.get(link.message.message_id)  # type: ignore[attr-defined]
    context = {
        "section": "tasks",
        "task": task,
        "form": form,
        "reminder_form": reminder,
        "links": links,
        "letters": [state_for(request.user, letter) for letter in reading.letters_of(task)],
        "sends_to": writing.correspondents(links, request.user) if reads_mail else [],
        "may_delete": access.may_delete(request.user, task),
        "reads_mail": reads_mail,
        "participants": participants,
        "others": colleagues(request.user).exclude(pk__in=inside),
        "points": list(task.checklist.all()),
        "comments": list(task.comments.select_related("by")),
        "files": list(task.files.select_related("content", "by")),
        "reminders": list(task.reminders.filter(employee=request.user, seen_at=None)),
        "columns": [(value, label, value == task.status) for value, label in Status.choices],
    }
    return render(request, "tasks/detail.html", context, status=status)


# What hangs on it


@login_required
@require_POST
def add_point(request: RequestOfEmployee, task_id: int) -> HttpResponse:
    task = access.get_task(request.user, task_id)
    return tried(request, lambda: details.add_point(task, request.POST.get("text", "")), back=_url(task))


@login_required
@require_POST
def change_point(request: RequestOfEmployee, task_id: int, point_id: int) -> HttpResponse:
    """`do` is tick, untick or remove."""
    task = access.get_task(request.user, task_id)
    point = get_object_or_404(ChecklistItem, pk=point_id, task=task)
    wanted = request.POST.get("do")
    if wanted == "remove":
        point.delete()
    elif wanted in {"tick", "untick"}:
        details.tick(point, done=wanted == "tick", by=request.user)
    else:
        raise Http404
    return redirect(_url(task))


@login_required
@require_POST
def comment(request: RequestOfEmployee, task_id: int) -> HttpResponse:
    task = access.get_task(request.user, task_id)
    text = request.POST.get("text", "")[:20_000]
    return tried(request, lambda: details.comment(task, text, by=request.user), back=_url(task))


@login_required
@require_POST
def attach(request: RequestOfEmployee, task_id: int) -> HttpResponse:
    task = access.get_task(request.user, task_id)
    uploads = request.FILES.getlist("files")
    if not uploads:
        messages.error(request, _("Choose a file first."))
    return tried(request, lambda: _attach(task, uploads, request.user), back=_url(task))


def _attach(task: Task, uploads: Sequence[UploadedFile[bytes]], by: Employee) -> None:
    for upload in uploads:
        details.attach(task, upload.name or "", upload.read(details.FILE_BYTES + 1), by=by)


@login_required
@require_safe
def file(request: RequestOfEmployee, task_id: int, file_id: int) -> HttpResponse:
    """Always a download of unknown bytes: whoever uploaded it, no browser runs it here."""
    task = access.get_task(request.user, task_id)
    kept = get_object_or_404(TaskFile.objects.select_related("content"), pk=file_id, task=task)
    response = HttpResponse(blobs.body_of(kept.content), content_type="application/octet-stream")
    response.headers["Content-Disposition"] = disposition("attachment", kept.name)
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response


@login_required
@require_POST
def remove_file(request: RequestOfEmployee, task_id: int, file_id: int) -> HttpResponse:
    task = access.get_task(request.user, task_id)
    get_object_or_404(TaskFile, pk=file_id, task=task).delete()
    return redirect(_url(task))


@login_required
@require_POST
def people(request: RequestOfEmployee, task_id: int) -> HttpResponse:
    """`add` or `remove` names a colleague."""
    task = access.get_task(request.user, task_id)
    verb = actions.let_out if request.POST.get("remove") else actions.let_in
    wanted = id_of(request.POST.get("remove") or request.POST.get("add"))
    employee = get_object_or_404(Employee, pk=wanted, account_id=request.user.account_id)
    answer = tried(request, lambda: verb(task, employee, by=request.user), back=_url(task))
    # Who has let themselves out finds no page any more.
    return answer if access.visible(request.user).filter(pk=task.pk).exists() else redirect("tasks:list")


@login_required
@require_POST
def remind(request: RequestOfEmployee, task_id: int) -> HttpResponse:
    """`at` is a moment in the employee's own time zone; `remove` names a reminder of theirs."""
    task = access.get_task(request.user, task_id)
    if request.POST.get("remove"):
        Reminder.objects.filter(pk=id_of(request.POST["remove"]), task=task, employee=request.user).delete()
        return redirect(_url(task))
    form = ReminderForm(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(map(str, form.errors["at"])))
        return redirect(_url(task))
    at = form.cleaned_data["at"]
    return tried(request, lambda: details.remind(task, at, whom=request.user), back=_url(task))


# Deleting


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def delete(request: RequestOfEmployee, task_id: int) -> HttpResponse:
    """Ask with the numbers, then hold the deletion for half a minute."""
    task = access.get_task(request.user, task_id)
    if not access.may_delete(request.user, task):
        raise PermissionDenied
    if request.method != "POST":
        context = {"section": "tasks", "task": task, "fate": deletion.Fate(task)}
        return render(request, "tasks/delete.html", context)
    deletion.ask_deletion(task, keep_mail=request.POST.get("mail") == "keep", by=request.user)
    messages.warning(
        request,
        _("“%(title)s” is deleted in %(n)d seconds.") % {"title": task.title, "n": deletion.HELD.seconds},
        extra_tags=reverse("tasks:undo-deletion", args=[task.pk]),
    )
    return redirect("tasks:list")


@login_required
@require_POST
def undo_deletion(request: RequestOfEmployee, task_id: int) -> HttpResponse:
    task = access.find_leaving(request.user, task_id)
    try:
        if task is None:
            raise deletion.TooLate
        deletion.undo_deletion(task, by=request.user)
    except deletion.TooLate as refusal:
        context = {"section": "tasks", "sentence": str(refusal), "back": reverse("tasks:list")}
        return render(request, "tasks/refused.html", context, status=404)
    messages.success(request, _("“%(title)s” is back, with all its mail.") % {"title": task.title})
    return redirect(_url(task))


def _url(task: Task) -> str:
    return reverse("tasks:detail", args=[task.pk])


urls = [
    path("<int:task_id>/", detail, name="detail"),
    path("<int:task_id>/checklist/", add_point, name="add-point"),
    path("<int:task_id>/checklist/<int:point_id>/", change_point, name="change-point"),
    path("<int:task_id>/comments/", comment, name="comment"),
    path("<int:task_id>/files/", attach, name="attach"),
    path("<int:task_id>/files/<int:file_id>/", file, name="file"),
    path("<int:task_id>/files/<int:file_id>/remove/", remove_file, name="remove-file"),
    path("<int:task_id>/people/", people, name="people"),
    path("<int:task_id>/reminders/", remind, name="remind"),
    path("<int:task_id>/delete/", delete, name="delete"),
    path("<int:task_id>/undo-deletion/", undo_deletion, name="undo-deletion"),
]
