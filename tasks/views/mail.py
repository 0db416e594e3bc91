"""Mail and tasks: making a task from a message, binding and unbinding, and reading what is bound."""

from collections.abc import Callable, Sequence

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.requests import id_of, ids_of, next_page
from accounts.views import RequestOfEmployee
from mailsync import blobs
from mailsync.mime import parse
from mailsync.models import Message
from mailsync.paging import Key
from mailsync.views.documents import body_response, file_response
from mailsync.views.pane import plain
from tasks import access, actions, binding, deletion, reading, telling, writing
from tasks.models import TaskMessage
from tasks.views.answers import by_htmx, tried

MANY = 200
NOT_KEPT = "no-cache"  # who is taken off a task must not see its mail from the browser's cache


# On the pages of mail


@login_required
@require_POST
def make(request: RequestOfEmployee) -> HttpResponse:
    """A task from the chosen messages (`ids` are places): the first one's subject is its title, and it is mine."""
    found = access.readable_messages(request.user, ids_of(request.POST.getlist("ids")[:MANY]))
    if not found:
        return _refused(request, _("These messages are no longer here."))
    try:
        task = actions.create_from(found, by=request.user)
    except telling.CannotDo as refusal:
        return _refused(request, str(refusal))
    if not by_htmx(request):
        return redirect("tasks:detail", task.pk)
    return render(request, "tasks/_made.html", {"task": task, "count": len(found)})


@login_required
@require_POST
def unmake(request: RequestOfEmployee, task_id: int) -> HttpResponse:
    """Take back a task made a moment ago: its mail stays."""
    task = access.get_task(request.user, task_id)
    if task.by_id != request.user.pk:
        raise Http404
    deletion.ask_deletion(task, keep_mail=True, by=request.user)
    if not by_htmx(request):
        return redirect("tasks:list")
    response = render(request, "tasks/_unmade.html", {"task": task})
    response.headers["HX-Trigger"] = "tasks-changed"
    return response


@login_required
@require_safe
@never_cache
def panel(request: RequestOfEmployee, placement_id: int) -> HttpResponse:
    """What a message is bound to, in the column beside it; without scripts a page of its own."""
    return _panel(request, placement_id, access.get_readable(request.user, placement_id))


def _panel(request: RequestOfEmployee, placement_id: int, message: Message) -> HttpResponse:
    context = {
        "section": "mail",
        "placement_id": placement_id,
        "message": message,
        "links": reading.links_to(message, request.user),
        "answers": reading.tasks_answered_by(message, request.user),
    }
    template = "tasks/_panel.html" if by_htmx(request) else "tasks/panel.html"
    return render(request, template, context)


@login_required
@require_safe
@never_cache
def choose(request: RequestOfEmployee, placement_id: int) -> HttpResponse:
    """Open tasks that the message may be added to, narrowed by `q`."""
    message = access.get_readable(request.user, placement_id)
    words = request.GET.get("q", "").replace("\0", "")[:200]
    found = reading.choice(request.user, words, without=message)
    context = {
        "section": "mail",
        "placement_id": placement_id,
        "choice": found,
        "q": words,
        "message": message,
    }
    return render(request, "tasks/_choice.html" if by_htmx(request) else "tasks/choose.html", context)


@login_required
@require_POST
def bind(request: RequestOfEmployee, placement_id: int) -> HttpResponse:
    """Add the message to `task`."""
    message = access.get_readable(request.user, placement_id)
    task = access.get_task(request.user, id_of(request.POST.get("task")))
    return _changed(request, placement_id, message, lambda: binding.bind(task, [message.pk], by=request.user))


@login_required
@require_POST
def unbind(request: RequestOfEmployee, placement_id: int) -> HttpResponse:
    """Take the message off `task`."""
    message = access.get_readable(request.user, placement_id)
    task = access.get_task(request.user, id_of(request.POST.get("task")))
    return _changed(request, placement_id, message, lambda: binding.unbind(task, message.pk, by=request.user))


def _changed(
    request: RequestOfEmployee, placement_id: int, message: Message, verb: Callable[[], object]
) -> HttpResponse:
    try:
        verb()
    except telling.CannotDo as refusal:
        return _refused(request, str(refusal))
    if not by_htmx(request):
        return redirect("tasks:panel", placement_id)
    response = _panel(request, placement_id, message)
    response.headers["HX-Trigger"] = "tasks-marks"
    return response


@login_required
@require_safe
@never_cache
def marks(request: RequestOfEmployee) -> HttpResponse:
    """Which of the rows on screen (`ids` are places) are bound to a task."""
    ids = ids_of(filter(None, request.GET.get("ids", "").split(",")[:400]))
    return JsonResponse({"bound": reading.marks(request.user, ids), "label": _("Bound to a task")})


def _refused(request: RequestOfEmployee, sentence: str) -> HttpResponse:
    if by_htmx(request):
        return HttpResponse(sentence, status=422, content_type="text/plain; charset=utf-8")
    context = {"section": "mail", "sentence": sentence, "back": reverse("mail:inbox")}
    return render(request, "tasks/refused.html", context, status=422)


# On the task's page


@login_required
@require_POST
def write(request: RequestOfEmployee, task_id: int) -> HttpResponse:
    """A letter of the task's to `address`, one of those that its page offers, or to nobody yet; in mail's own page."""
    task = access.get_task(request.user, task_id)
    links = reading.links_of(task) if access.reads_mail_of(request.user, task) else []
    wanted = request.POST.get("address", "")
    known = writing.correspondents(links, request.user)
    to = next((each for each in known if each.address == wanted), None)
    if wanted and to is None:
        raise Http404
    sender = writing.sender_for(links, request.user)
    if sender is None:
        messages.error(request, _("None of your mailboxes can send. Connect one with an outgoing server."))
        return redirect("tasks:detail", task.pk)
    return redirect("mail:letter", writing.begin(task, sender, by=request.user, to=to).pk)


@login_required
@require_safe
@never_cache
def offers(request: RequestOfEmployee, task_id: int) -> HttpResponse:
    """Later replies to what is bound, to be bound, too."""
    task = access.get_task(request.user, task_id)
    context = {"section": "tasks", "task": task, "offers": reading.later_replies(task, request.user)}
    return render(request, "tasks/_offers.html" if by_htmx(request) else "tasks/offers.html", context)


@login_required
@require_POST
def accept(request: RequestOfEmployee, task_id: int) -> HttpResponse:
    """Bind the replies (`ids` are messages) out of those that are offered."""
    task = access.get_task(request.user, task_id)
    wanted = set(ids_of(request.POST.getlist("ids")[:MANY]))
    offered = [reply.pk for reply in reading.later_replies(task, request.user) if reply.pk in wanted]
    back = reverse("tasks:detail", args=[task.pk])
    return tried(request, lambda: binding.bind(task, offered, by=request.user), back=back)


@login_required
@require_POST
def release(request: RequestOfEmployee, task_id: int, message_id: int) -> HttpResponse:
    """Take a message off the task."""
    task = access.get_task(request.user, task_id)
    link = get_object_or_404(TaskMessage, task=task, message=message_id)
    binding.unbind(task, link.message_id, by=request.user)
    return redirect(next_page(request, reverse("tasks:detail", args=[task.pk])))


# Reading what is bound


@login_required
@require_safe
@never_cache
def bound(request: RequestOfEmployee) -> HttpResponse:
    """All mail that my tasks hold."""
    links, following = reading.bound_mail(request.user, after=Key.parse(request.GET.get("after", "")))
    context = {"section": "tasks", "view": "mail", "links": links, "more": following}
    return render(request, "tasks/bound.html", context)


@login_required
@require_safe
@never_cache
def message(request: RequestOfEmployee, task_id: int, message_id: int) -> HttpResponse:
    """A bound message, by the task's door: whoever sees the task reads it, in whose mailbox ever it came."""
    link = access.get_bound(request.user, task_id, message_id)
    bound = link.message
    content = parse.read(bytes(bound.header), blobs.body_of(bound.body))
    context = {
        "section": "tasks",
        "link": link,
        "task": link.task,
        "message": bound,
        "html": bool(content.html),
        "text": "" if content.html else plain(content.text),
        "problem": content.problem,
        "files": _files(link, content.attachments),
        "place": reading.place_of(bound, request.user),
    }
    return render(request, "tasks/message.html", context)


def _files(link: TaskMessage, parts: Sequence[parse.AttachmentPart]) -> list[tuple[str, int, str]]:
    """What can be downloaded: name, size, address."""
    return [
        (
            part.name or f"part-{part.part}",
            part.size,
            reverse("tasks:message-file", args=[link.task_id, link.message_id, part.part]),
        )
        for part in parts
        if not part.inline
    ]


class Raw:
    """The bytes of a bound message as mail's own reading wants them."""

    def __init__(self, bound: Message) -> None:
        self.header = bytes(bound.header)
        self.body = blobs.body_of(bound.body)


@login_required
@require_safe
def message_body(request: RequestOfEmployee, task_id: int, message_id: int) -> HttpResponse:
    """The HTML of a bound message for the sandboxed frame, with a policy of its own."""
    link = access.get_bound(request.user, task_id, message_id)
    return body_response(request, Raw(link.message), images_of=link.message_id, cache=NOT_KEPT)


@login_required
@require_safe
def message_file(request: RequestOfEmployee, task_id: int, message_id: int, part: int) -> HttpResponse:
    link = access.get_bound(request.user, task_id, message_id)
    return file_response(request, Raw(link.message), part, cache=NOT_KEPT)


urls = [
    path("mail/", bound, name="bound"),
    path("from-mail/", make, name="from-mail"),
    path("<int:task_id>/unmake/", unmake, name="unmake"),
    path("of-mail/<int:placement_id>/", panel, name="panel"),
    path("of-mail/<int:placement_id>/choose/", choose, name="choose"),
    path("of-mail/<int:placement_id>/bind/", bind, name="bind"),
    path("of-mail/<int:placement_id>/unbind/", unbind, name="unbind"),
    path("marks/", marks, name="marks"),
    path("<int:task_id>/write/", write, name="write"),
    path("<int:task_id>/offers/", offers, name="offers"),
    path("<int:task_id>/accept/", accept, name="accept"),
    path("<int:task_id>/mail/<int:message_id>/", message, name="message"),
    path("<int:task_id>/mail/<int:message_id>/body/", message_body, name="message-body"),
    path("<int:task_id>/mail/<int:message_id>/file/<int:part>/", message_file, name="message-file"),
    path("<int:task_id>/mail/<int:message_id>/unbind/", release, name="release"),
]
