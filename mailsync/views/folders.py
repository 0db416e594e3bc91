"""Making, renaming and deleting folders: door, form, one verb, response. Plain pages: they need no script."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.requests import id_of
from accounts.views import RequestOfEmployee
from mailsync import access, folders
from mailsync.folders import CannotChange
from mailsync.forms import PlacedFolderForm
from mailsync.models import Act, Folder, GrantLevel, Mailbox, SpecialUse

SECTION = {"section": "mail"}
# How a toast knows that its "Undo" changes the tree: the page is then loaded anew.
UNDO = "folder-"


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def new(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """A name, and the folder that it comes into (`?in=`)."""
    mailbox = access.get_mailbox(request.user, mailbox_id, GrantLevel.MANAGE)
    parents = _parents(mailbox)
    inside = next((row for row in parents if str(row.pk) == request.GET.get("in")), None)
    form = PlacedFolderForm(request.POST or None, rows=parents, inside=inside)
    if request.method == "POST" and form.is_valid():
        try:
            done = folders.create_folder(
                mailbox, form.cleaned_data["name"], form.cleaned_data["parent"], by=request.user
            )
        except CannotChange as refusal:
            form.add_error("name", str(refusal))
        else:
            made = get_object_or_404(Folder, pk=done.undo["folder"])
            return _done(request, done, _("“%(folder)s” is made.") % {"folder": made.path}, made.pk)
    return _form(request, "new", form, {"mailbox": mailbox, "folder": inside})


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def rename(request: RequestOfEmployee, folder_id: int) -> HttpResponse:
    """Another name, another folder to be in, or both."""
    folder = access.get_folder(request.user, folder_id, GrantLevel.MANAGE)
    rows = [row for row in _parents(folder.mailbox) if row.pk != folder.pk]
    inside = folders.parent_of(folder, rows)
    form = PlacedFolderForm(request.POST or None, rows=rows, inside=inside, name=folders.last_part(folder))
    if request.method == "POST" and form.is_valid():
        name, parent = form.cleaned_data["name"], form.cleaned_data["parent"]
        try:
            if parent == inside:
                done = folders.rename_folder(folder, name, by=request.user)
            else:
                done = folders.move_folder(folder, name, parent, by=request.user)
        except CannotChange as refusal:
            form.add_error("name", str(refusal))
        else:
            now = {"before": folder.path}
            folder.refresh_from_db(fields=["path"])
            now["folder"] = folder.path
            return _done(request, done, _("“%(before)s” is now “%(folder)s”.") % now, folder.pk)
    return _form(request, "rename", form, {"mailbox": folder.mailbox, "folder": folder})


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def delete(request: RequestOfEmployee, folder_id: int) -> HttpResponse:
    """Asked first, with the number of messages and where they go."""
    folder = access.get_folder(request.user, folder_id, GrantLevel.MANAGE)
    refusal = ""
    if request.method == "POST":
        try:
            folders.delete_folder(folder, by=request.user)
        except CannotChange as refused:
            refusal = str(refused)
        else:
            messages.success(request, _("“%(folder)s” is deleted.") % {"folder": folder.path})
            return redirect("mail:inbox")
    trash = Folder.objects.filter(mailbox=folder.mailbox, special_use=SpecialUse.TRASH).first()
    context = {
        "mailbox": folder.mailbox,
        "folder": folder,
        "trash": trash,
        # What the fetch window or a purge keeps from us is still on the server.
        "only_there": max(0, folder.server_messages - folder.total),
        "refusal": refusal,
    }
    return render(request, "mail/folders/delete.html", SECTION | context, status=422 if refusal else 200)


@login_required
@require_POST
def undo(request: RequestOfEmployee) -> HttpResponse:
    number = id_of(request.POST.get("act", "").removeprefix(UNDO))
    act = get_object_or_404(Act, pk=number, by=request.user, verb__in=folders.VERBS)
    folder = Folder.objects.select_related("mailbox").filter(pk=act.undo.get("folder")).first()
    if folder and not access.may(request.user, folder.mailbox, GrantLevel.MANAGE):
        raise Http404
    try:
        folders.undo(act, by=request.user)
    except CannotChange as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("Undone."))
    stays = folder and Folder.objects.filter(pk=folder.pk, deleting=False).exists()
    return redirect("mail:folder", folder.pk) if folder and stays else redirect("mail:inbox")


def _parents(mailbox: Mailbox) -> list[Folder]:
    """Folders that may hold others: all that are shown, but for views of other folders."""
    shown = Folder.objects.filter(mailbox=mailbox, selectable=True, syncing=True, deleting=False)
    return list(shown.exclude(special_use__in=[SpecialUse.ALL, SpecialUse.FLAGGED]).order_by("path"))


def _done(request: RequestOfEmployee, act: Act, sentence: str, folder_id: int) -> HttpResponse:
    if act.undo:
        messages.success(request, sentence, extra_tags=f"{UNDO}{act.pk}")
    return redirect("mail:folder", folder_id)


def _form(
    request: RequestOfEmployee, name: str, form: PlacedFolderForm, context: dict[str, Any]
) -> HttpResponse:
    template = f"mail/folders/{name}.html"
    return render(request, template, SECTION | context | {"form": form}, status=422 if form.errors else 200)


urls = [
    path("mail/box/<int:mailbox_id>/folders/new/", new, name="folder-new"),
    path("mail/<int:folder_id>/rename/", rename, name="folder-rename"),
    path("mail/<int:folder_id>/delete/", delete, name="folder-delete"),
    path("mail/folders/undo/", undo, name="folder-undo"),
]
