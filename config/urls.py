"""Every URL of the product, by app."""

from allauth.account import views as allauth
from django.urls import include, path
from django.utils.module_loading import import_string

handler500 = "accounts.unavailable.server_error"
urlpatterns = [
    # Only what we use of allauth: companies sign up by our own page, and a forgotten password is renewed by an admin.
    path("account/login/", allauth.login, name="account_login"),
    path("account/logout/", allauth.logout, name="account_logout"),
    path("account/inactive/", allauth.account_inactive, name="account_inactive"),
    path("account/password/", allauth.password_change, name="account_change_password"),
    path("account/", include("accounts.signing_urls")),
    path("healthz", import_string("accounts.health.healthz"), name="healthz"),
    path("", include("accounts.urls")),
    path("", include("overview.urls")),
    path("", include("mailsync.urls")),
    path("crm/", include("crm.urls")),
    path("tasks/", include("tasks.urls")),
    path("retention/", include("retention.urls")),
    path("sign-up/", include("plans.urls")),
    path("plan/", include((import_string("retention.views.plan.urls"), "plan"))),
    path("operate/", import_string("plans.admin.site").urls),
]
