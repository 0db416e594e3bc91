"""Asking somebody to join by a link: signed, for seven days, for one use.

The link names the account, because whoever opens it acts for nobody yet. Each link that is made replaces the one
before it. All functions but `opened` run in a transaction that acts for the account.
"""

import hashlib
import secrets
from datetime import timedelta

from django.core import signing
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import Http404
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts import audit, tenancy
from accounts.models import Department, Employee, Invitation

LIVES = timedelta(days=7)
_SALT = "accounts.inviting"


class CannotJoin(Exception):
    """The link opens nothing; the text is a sentence for the page. `used`: its person signs in already."""

    def __init__(self, sentence: str, *, used: bool = False) -> None:
        super().__init__(sentence)
        self.used = used


def invite(*, email: str, name: str, role: str, department: Department | None, by: Employee) -> Invitation:
    """Raises ValidationError with a message per field. `new_link` makes what the person needs."""
    email = email.strip().lower()
    if tenancy.account_of_address(email) is not None:
        raise ValidationError({"email": _("Somebody already signs in with this address.")})
    invitation = Invitation(
        account_id=by.account_id,
        email=email,
        name=name,
        role=role,
        department=department,
        by=by,
        secret_hash=b"",
        expires_at=timezone.now(),
    )
    invitation.clean_fields(exclude=["secret_hash", "mailed_at", "used_at", "withdrawn_at"])
    try:
        with transaction.atomic():
            invitation.save()
    except IntegrityError as error:
        raise ValidationError(
            {"email": _("This address is invited already: send it a new link from the list.")}
        ) from error
    _record("invitation.made", invitation, by, role=role, department=str(department or ""))
    return invitation


def new_link(invitation: Invitation, *, by: Employee) -> str:
    """The token of a link that works for LIVES from now; the ones before it work no more. Raises CannotJoin."""
    invitation = _open(invitation.pk)
    secret = secrets.token_urlsafe(32)
    invitation.secret_hash = _hash(secret)
    invitation.expires_at = timezone.now() + LIVES
    invitation.mailed_at = None
    invitation.save(update_fields=["secret_hash", "expires_at", "mailed_at"])
    _record("invitation.link_made", invitation, by, until=invitation.expires_at.isoformat(timespec="minutes"))
    return signing.dumps([invitation.account_id, invitation.pk, secret], salt=_SALT)


def mailed(invitation: Invitation) -> None:
    Invitation.objects.filter(pk=invitation.pk).update(mailed_at=timezone.now())


def withdraw(invitation: Invitation, *, by: Employee) -> None:
    """Raises CannotJoin where it was used meanwhile."""
    invitation = _open(invitation.pk)
    invitation.withdrawn_at = timezone.now()
    invitation.save(update_fields=["withdrawn_at"])
    _record("invitation.withdrawn", invitation, by)


def get_invitation(admin: Employee, invitation_id: int) -> Invitation:
    """One of the admin's own account that is open or was; Http404 else."""
    found = Invitation.objects.filter(account_id=admin.account_id, pk=invitation_id).first()
    if found is None:
        raise Http404("No such invitation.")
    return found


def account_of(token: str) -> int:
    """The account in whose name to look for the invitation. Raises CannotJoin for what is no link of ours."""
    return _read(token)[0]


def opened(token: str) -> Invitation:
    """The invitation behind a link, in a transaction that acts for `account_of(token)`. Raises CannotJoin."""
    account_id, invitation_id, secret = _read(token)
    invitation = _open(invitation_id)
    if not secrets.compare_digest(bytes(invitation.secret_hash), _hash(secret)):
        raise CannotJoin(_("A newer link was made for you, so this one works no more. Use the newest."))
    if invitation.account_id != account_id or invitation.is_expired:
        raise CannotJoin(
            _("This invitation ended on %(day)s. Ask %(who)s for a new link.")
            % {"day": date_format(timezone.localtime(invitation.expires_at)), "who": invitation.by}
        )
    return invitation


def join(token: str, *, name: str, password: str, time_zone: str) -> Employee:
    """Make the employee, use the invitation up. Raises CannotJoin; ValidationError where the address is taken."""
    invitation = opened(token)
    try:
        with transaction.atomic():
            employee = Employee.objects.create_user(
                account=invitation.account,
                email=invitation.email,
                password=password,
                name=name,
                role=invitation.role,
                department=invitation.department,
                time_zone=time_zone,
                language=invitation.account.language,
            )
    except IntegrityError as error:
        raise ValidationError(_("Somebody already signs in with this address.")) from error
    invitation.used_at = timezone.now()
    invitation.save(update_fields=["used_at"])
    _record("employee.joined", invitation, employee, role=invitation.role, invited_by=invitation.by.email)
    return employee


def _open(invitation_id: int) -> Invitation:
    """Locked, so that of two clicks on one link the second finds it used."""
    invitation = (
        Invitation.objects.select_for_update(of=("self",))
        .select_related("account", "by", "department")
        .filter(pk=invitation_id)
        .first()
    )
    if invitation is None or invitation.withdrawn_at:
        raise CannotJoin(
            _("This invitation was withdrawn. Ask an admin of the company whether that was meant.")
        )
    if invitation.used_at:
        raise CannotJoin(_("This invitation was used already: sign in with your address."), used=True)
    return invitation


def _read(token: str) -> tuple[int, int, str]:
    try:
        account_id, invitation_id, secret = signing.loads(token, salt=_SALT)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise CannotJoin(_("This link is not complete. Copy all of it from the letter.")) from error
    return account_id, invitation_id, secret


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _record(verb: str, invitation: Invitation, by: Employee, **details: object) -> None:
    audit.record(verb, invitation.email, account_id=invitation.account_id, by=by, **details)
