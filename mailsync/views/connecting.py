"""Connecting a mailbox: address, test, choice.

No view talks to a mail server: a test is handed to a worker, and the page asks for its row every half second.
"""

import hashlib
import json
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.models import Employee
from accounts.requests import id_or_none
from accounts.views import RequestOfEmployee
from mailsync import (
    access,
    connecting,
    enrolling,
    oauth,
    presets,
    secrets,
)
from mailsync.connecting import CannotConnect
from mailsync.forms import AddressForm, ChooseForm
from mailsync.models import (
    ConnectionTest,
)
from mailsync.roles import FoundFolder
from mailsync.views.trees import found_tree
from plans.offers import plan_name
from plans.subscriptions import limits_for

# A test that waits longer has no worker; one that runs longer has lost it.
WAITING_TOO_LONG = timedelta(seconds=15)
RUNNING_TOO_LONG = timedelta(seconds=300)
STEP_NAMES = {
    "consent": gettext_lazy("Your consent"),
    "name": gettext_lazy("Find the server"),
    "connect": gettext_lazy("Reach it"),
    "tls": gettext_lazy("Protect the connection"),
    "login": gettext_lazy("Sign in"),
    "folders": gettext_lazy("List the folders"),
    "smtp": gettext_lazy("Outgoing mail"),
}
SECTION = {"section": "mailboxes"}


@login_required
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def connect(request: RequestOfEmployee) -> HttpResponse:
    """Page 1: address and password, or the way to a provider. Where the plan has no room, the reason instead."""
    refusal = connecting.why_not(request.user, request.user.account.today())
    form = AddressForm(request.POST or None, owner=request.user, initial=_typed_before(request))
    if request.method == "POST" and not refusal and form.is_valid():
        if provider := form.consents_at():
            typed = form.cleaned_data
            asked = connecting.ask_consent(
                by=request.user, address=typed["address"], provider=provider, login=typed["login"]
            )
            return redirect("mail:connect-consent", asked.pk)
        test = connecting.start_test(
            by=request.user,
            address=form.cleaned_data["address"],
            settings=form.servers(),
            sealed=secrets.seal(form.cleaned_data["password"], account_id=request.user.account_id),
        )
        return redirect("mail:connect-test", test.pk)
    return render(
        request,
        "mail/connect/address.html",
        {
            **SECTION,
            "form": form,
            "refusal": refusal,
            **_hint(form["address"].value() or ""),
        },
        status=422 if form.errors else 200,
    )


def _typed_before(request: RequestOfEmployee) -> dict[str, Any]:
    """What one's own failed test was about, or what an admin asks one to connect; all but the password."""
    asked = id_or_none(request.GET.get("row"))
    for row in enrolling.invitations(request.user):
        if row.pk == asked:
            return {"address": row.address, **row.servers}
    number = id_or_none(request.GET.get("from"))
    test = None if number is None else ConnectionTest.objects.filter(by=request.user, pk=number).first()
    if test is None:
        return {}
    return {"address": test.address, **connecting.settings_of(test).columns()}


@login_required
@require_GET
def hint(request: RequestOfEmployee) -> HttpResponse:
    """What the provider of the address asks for, while the address is being typed."""
    return render(request, "mail/connect/_hint.html", _hint(request.GET.get("address", "")))


def _hint(address: str) -> dict[str, Any]:
    """The provider, and where one can consent; a company's own domain may live at any of them."""
    preset, provider = presets.for_address(address), oauth.for_address(address)
    known = preset or provider
    return {"preset": preset, "provider": provider, "providers": [] if known else oauth.configured()}


@login_required
@require_GET
def test_page(request: RequestOfEmployee, test_id: int) -> HttpResponse:
    """Page 2: each step as the worker makes it."""
    test = get_test(request.user, test_id)
    return render(request, "mail/connect/test.html", {**SECTION, **_test_context(test)})


@login_required
@require_GET
def steps(request: RequestOfEmployee, test_id: int) -> HttpResponse:
    """The part that the page asks for; 204 while nothing is new, so that nothing flickers or is read twice."""
    context = _test_context(get_test(request.user, test_id))
    if request.GET.get("seen") == context["seen"]:
        return HttpResponse(status=204)
    return render(request, "mail/connect/_steps.html", context)


@login_required
@require_POST
def test_again(request: RequestOfEmployee, test_id: int) -> HttpResponse:
    """The same once more, with nothing typed anew."""
    test = connecting.test_again(get_test(request.user, test_id), by=request.user)
    return redirect("mail:connect-test", test.pk)


@login_required
@require_http_methods(["GET", "POST"])
def choose(request: RequestOfEmployee, test_id: int) -> HttpResponse:
    """Page 3: folders, roles, days; then the mailbox exists and its first fetch begins."""
    test = get_test(request.user, test_id)
    if test.state != "passed" or test.mailbox_id:
        return redirect("mail:connect-test", test.pk)
    found = [FoundFolder.from_json(kept) for kept in test.found]
    limits = limits_for(request.user.account, request.user.account.today())
    form = ChooseForm(
        request.POST or None, found=found, fetch_days=limits.fetch_days, sender_name=request.user.name
    )
    if request.method == "POST" and form.is_valid() and _connected(request, test, form):
        return redirect("mail:inbox")
    context = {
        **SECTION,
        "form": form,
        "test": test,
        "limits": limits,
        "plan": plan_name(limits.plan),
        "tree": found_tree(found, set(form["folders"].value() or [])),
        "since": request.user.account.today() - timedelta(days=limits.fetch_days),
    }
    return render(request, "mail/connect/choose.html", context, status=422 if form.errors else 200)


def _connected(request: RequestOfEmployee, test: ConnectionTest, form: ChooseForm) -> bool:
    try:
        mailbox = connecting.connect(
            owner=request.user,
            address=test.address,
            settings=connecting.settings_of(test),
            sealed=bytes(test.secret),
            consent=test.consent,
            found=form.found,
            choice=form.choice(),
            fetch_days=form.cleaned_data["fetch_days"],
            by=request.user,
            sender_name=form.cleaned_data["sender_name"],
        )
    except CannotConnect as refusal:
        form.add_error(None, refusal.sentence)
        return False
    connecting.use_up(test)
    messages.success(
        request, _("%(address)s is connected. Its mail arrives now.") % {"address": mailbox.address}
    )
    return True


def get_test(employee: Employee, test_id: int) -> ConnectionTest:
    """Door: one's own test that has not served yet; that of a mailbox, with its password, asks for the right to it."""
    mine = ConnectionTest.objects.filter(by=employee).exclude(state="used")
    test = get_object_or_404(mine.select_related("mailbox", "consent"), pk=test_id)
    if test.mailbox_id:
        access.get_settings_of(employee, test.mailbox_id)
    return test


def _test_context(test: ConnectionTest) -> dict[str, Any]:
    told = {step["key"]: step for step in test.steps}
    shown = [
        {"name": name, **told.get(key, {"key": key, "state": "waiting", "text": ""})}
        for key, name in STEP_NAMES.items()
        if key != "consent" or test.provider
    ]
    late = _late(test)
    state = "failed" if late == "lost" else test.state
    said = next((step for step in reversed(shown) if step["state"] not in ("waiting", "ok")), None)
    return {
        "test": test,
        "state": state,
        "late": late,
        "steps": shown,
        "unfinished": state in ("waiting", "running"),
        # Trying the same again makes sense where the server was at fault, not what was typed.
        "typed": not test.provider
        and any(step["state"] == "failed" and step["key"] in ("name", "tls", "login") for step in shown),
        "warned": any(step["state"] == "warning" for step in shown),
        "said": said or next((step for step in reversed(shown) if step["state"] == "ok"), None),
        "seen": hashlib.sha256(json.dumps([state, late, test.steps]).encode()).hexdigest()[:16],
        "preset": presets.for_address(test.address),
        "provider": oauth.by_key(test.provider),
    }


def _late(test: ConnectionTest) -> str:
    age = timezone.now() - test.created_at
    if test.state == "waiting" and age > WAITING_TOO_LONG:
        return "waiting"
    return "lost" if test.state == "running" and age > RUNNING_TOO_LONG else ""


urls = [
    path("mailboxes/connect/", connect, name="connect"),
    path("mailboxes/connect/hint/", hint, name="connect-hint"),
    path("mailboxes/connect/<int:test_id>/", test_page, name="connect-test"),
    path("mailboxes/connect/<int:test_id>/steps/", steps, name="connect-steps"),
    path("mailboxes/connect/<int:test_id>/again/", test_again, name="connect-again"),
    path("mailboxes/connect/<int:test_id>/choose/", choose, name="connect-choose"),
]
