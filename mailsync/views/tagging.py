"""Tags of one message: shown at its head, put on and taken off."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.views import RequestOfEmployee
from mailsync import access, actions, paging, tags
from mailsync.models import GrantLevel


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def tagging(request: RequestOfEmployee, placement_id: int) -> HttpResponse:
    """`put` is a name as typed, `take` a keyword.

    The answer is the part of the page that shows the tags; asked for with GET, its menu is open and offers others.
    """
    error = ""
    if request.method == "POST":
        letter = access.get_letter(request.user, placement_id, GrantLevel.REPLY)
        try:
            put = [_as_known(tags.keyword_of(request.POST["put"]), letter)] if "put" in request.POST else []
        except ValueError as refused:
            error = str(refused)
        else:
            take = [flag for flag in letter.flags if flag.lower() == request.POST.get("take", "").lower()]
            actions.set_flags([placement_id], add=put, remove=take, by=request.user)
    letter = access.get_letter(request.user, placement_id, GrantLevel.READ)
    if not request.headers.get("HX-Request"):
        return redirect("mail:message", letter.folder_id, placement_id)
    context = {
        "letter": letter,
        "may_tag": access.includes(letter.box.level, GrantLevel.REPLY),
        "offered": None if request.method == "POST" and not error else _offered(letter),
        "error": error,
        "typed": request.POST.get("put", "") if error else "",
    }
    return render(request, "mail/_tags.html", context)


def _as_known(keyword: str, letter: access.Letter) -> str:
    """The keyword of the tag that is called so there already: in another case the server takes it for the same."""
    name = tags.tag(keyword).name.lower()
    known = [*letter.tags, *paging.tags_in_use(letter.folder_id)]
    return next((tag.keyword for tag in known if tag.name.lower() == name), keyword)


def _offered(letter: access.Letter) -> list[tags.Tag]:
    has = {tag.keyword.lower() for tag in letter.tags}
    return [tag for tag in paging.tags_in_use(letter.folder_id) if tag.keyword.lower() not in has]


urls = [path("mail/message/<int:placement_id>/tags/", tagging, name="tags")]
