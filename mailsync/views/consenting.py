"""Consenting at a provider instead of typing a password: out to it, and back with a code that a worker takes over.

What belongs to one request (state, PKCE verifier) stays in the session: an answer that this session did not ask for,
or a second time, leads nowhere.
"""

import json

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.models import Employee
from accounts.views import RequestOfEmployee
from mailsync import access, connecting, oauth, secrets
from mailsync.models import ConnectionTest

_ASKED = "consents_asked"  # in the session: state -> [test, verifier]
_MOST_ASKED = 5
_LONGEST_CODE = 4096


@login_required
@require_GET
@never_cache
def ask(request: RequestOfEmployee, test_id: int) -> HttpResponse:
    """The door to the provider: a plain link, which a script follows at once. A form could not lead there: our policy
    lets forms go nowhere but here, and providers send people on to more addresses than we could name."""
    test = _get_asked(request.user, test_id)
    provider = oauth.by_key(test.provider)
    if provider is None:
        messages.error(request, _("This installation does not offer sign-in by consent any more."))
        return redirect("mail:mailboxes")
    asked = oauth.request_consent(provider, redirect_uri=_redirect_uri(request), address=test.login)
    others = list(request.session.get(_ASKED, {}).items())[1 - _MOST_ASKED :]
    request.session[_ASKED] = {**dict(others), asked.state: [test.pk, asked.verifier]}
    context = {"section": "mailboxes", "test": test, "provider": provider, "url": asked.url}
    return render(request, "mail/connect/consent.html", context)


@login_required
@require_GET
@never_cache
def back(request: RequestOfEmployee) -> HttpResponse:
    """Where the provider sends people to, with a code or with a reason (RFC 6749 4.1.2)."""
    waiting = request.session.get(_ASKED, {})
    remembered = waiting.pop(request.GET.get("state", ""), None)
    if remembered is None:
        messages.error(
            request,
            _("That answer belongs to no connection you have begun here, or was used already. Start again."),
        )
        return redirect("mail:connect")
    request.session[_ASKED] = waiting
    test_id, verifier = remembered
    test = _get_asked(request.user, test_id)
    code = request.GET.get("code", "")
    if code and len(code) <= _LONGEST_CODE:
        asked = {"code": code, "verifier": verifier, "redirect_uri": _redirect_uri(request)}
        connecting.take_code(test, secrets.seal(json.dumps(asked), account_id=test.account_id))
    else:
        connecting.fail_test(test.pk, "consent", _why_not(test, request.GET.get("error", "")))
    return redirect("mail:connect-test", test.pk)


@login_required
@require_POST
def repair(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """Consent anew for a mailbox that exists: everything else of it stays."""
    mailbox = access.get_settings_of(request.user, mailbox_id)
    provider = oauth.for_mailbox(mailbox)
    if provider is None:
        raise Http404
    test = connecting.ask_consent(
        by=request.user, address=mailbox.address, provider=provider, login=mailbox.login, mailbox=mailbox
    )
    return redirect("mail:connect-consent", test.pk)


def _get_asked(employee: Employee, test_id: int) -> ConnectionTest:
    """Door: one's own test at a provider, that waits for the person or may be tried once more."""
    mine = ConnectionTest.objects.filter(by=employee, state__in=("asked", "failed")).exclude(provider="")
    return get_object_or_404(mine, pk=test_id)


def _redirect_uri(request: RequestOfEmployee) -> str:
    """The one address that an operator registers at the provider."""
    return request.build_absolute_uri(reverse("mail:consent-back"))


def _why_not(test: ConnectionTest, error: str) -> str:
    """The reason as a sentence. The provider's own words are not shown: anybody can write them into an address."""
    provider = oauth.by_key(test.provider)
    name = provider.name if provider else test.provider
    if error == "access_denied":
        return _("You did not consent at %(provider)s, so nothing was connected.") % {"provider": name}
    return _(
        "%(provider)s refused the request before you could consent. In an organisation, its administrator may have "
        "to allow this installation first."
    ) % {"provider": name}


urls = [
    path("mailboxes/connect/consent/", back, name="consent-back"),
    path("mailboxes/connect/<int:test_id>/consent/", ask, name="connect-consent"),
    path("mailboxes/<int:mailbox_id>/consent/", repair, name="mailbox-consent"),
]
