"""The pages of operators: Django's admin, for whom `manage.py set_operator` named, and absent for everybody else."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, TypeVar, cast

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseNotAllowed
from django.urls import URLPattern, URLResolver, path
from django.utils.translation import gettext_lazy as _

# The admin takes whatever it does not know for GET.
METHODS = ["GET", "HEAD", "POST"]

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


class OperatorSite(AdminSite):
    """Signing in and out are the product's own, so the admin's are left out with all that is not used here."""

    site_header = _("Mailbound, for operators")
    site_title = site_header
    index_title = _("What every company goes by")
    enable_nav_sidebar = False
    final_catch_all_view = False

    def has_permission(self, request: HttpRequest) -> bool:
        return is_operator(request)

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        inner = super().admin_view(view, cacheable)

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not is_operator(request):
                raise Http404
            if request.method not in METHODS:
                return HttpResponseNotAllowed(METHODS)
            return inner(request, *args, **kwargs)

        return cast(View, update_wrapper(guarded, view))

    def get_urls(self) -> list[URLPattern | URLResolver]:
        kept = [
            each
            for each in super().get_urls()
            if isinstance(each, URLResolver) or each.name in ("index", "jsi18n")
        ]
        return [*kept, path("<slug:app_label>/", self.admin_view(self.app_index), name="app_list")]


def is_operator(request: HttpRequest) -> bool:
    """Asked for every page and every right: there is one kind of operator."""
    return request.user.is_active and getattr(request.user, "is_operator", False)
