"""Two-factor and passkeys: allauth's, behind our wall, with our keys and our audit log.

A passkey names its account and person ("user handle"), because whoever signs in with one acts for nobody yet.
"""

from typing import Any

from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import LoginWebAuthnForm
from django.core.exceptions import ValidationError
from fido2.utils import websafe_decode, websafe_encode

from accounts import audit, notices, requests, sealing, sessions, tenancy
from accounts.models import Employee, NoticeKind


class TwoFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Secrets are sealed with MAIL_SECRET_KEYS for the account in which the transaction acts."""

    def encrypt(self, text: str) -> str:
        return sealing.encrypt(f"{tenancy.current()}:{text}").decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Raises InvalidToken, also for a secret of another account."""
        account, _, text = sealing.decrypt(encrypted_text.encode()).partition(":")
        if account != tenancy.current():
            raise sealing.InvalidToken
        return text

    def get_public_key_credential_user_entity(self, user: Employee) -> dict[str, Any]:
        entity: dict[str, Any] = super().get_public_key_credential_user_entity(user)
        return entity | {"id": f"{user.account_id}.{entity['id'].decode()}".encode()}

    def generate_authenticator_name(self, user: Employee, type: str) -> str:  # noqa: A002, ARG002 (allauth's)
        """What people see in their list, unless they name it otherwise."""
        return "Passkey"


class PasskeyForm(LoginWebAuthnForm):  # type: ignore[misc]
    """Signing in with a passkey alone: enter the account that it names, then let allauth check the signature."""

    def clean_credential(self) -> Authenticator:
        credential = self.cleaned_data["credential"]
        account_id, credential["response"]["userHandle"] = _taken_apart(credential)
        tenancy.enter(account_id)
        found = None
        try:
            found = super().clean_credential()
        finally:
            if found is None:
                tenancy.leave()
        return found


def _taken_apart(credential: Any) -> tuple[int, str]:
    """The account (0: none), and the handle as allauth made it. It is no proof: the signature is.

    Raises ValidationError.
    """
    try:
        handle = websafe_decode(credential["response"]["userHandle"]).decode("ascii")
        account, _, person = handle.partition(".")
        return requests.id_or_none(account) or 0, websafe_encode(person.encode())
    except (ValueError, TypeError, KeyError) as error:
        raise ValidationError("This passkey is none of ours.") from error


def came(instance: Authenticator, created: bool, **_: Any) -> None:
    """Written down with the row itself: allauth's own signals come after the commit, too late for the audit log."""
    if created:
        _write_down(instance, "added")


def went(instance: Authenticator, **_: Any) -> None:
    _write_down(instance, "removed")


def _write_down(factor: Authenticator, what: str) -> None:
    """By whoever's request it is: the person's own, or an admin's who resets."""
    employee = factor.user
    by = getattr(context.request, "user", None)
    audit.record(
        f"two_factor.{what}",
        employee.email,
        account_id=employee.account_id,
        by=by if isinstance(by, Employee) else employee,
        kind=factor.type,
    )


def has_two_factor(employee: Employee) -> bool:
    """Recovery codes alone are none: they exist beside the others."""
    return bool(_factors(employee).exclude(type=Authenticator.Type.RECOVERY_CODES).exists())


def reset(employee: Employee, *, by: Employee) -> None:
    """For somebody who lost their phone: the password alone lets them in again. They are signed out, and told."""
    if not has_two_factor(employee):
        return
    _factors(employee).delete()
    sessions.end(employee.browser_sessions.all())
    audit.record("two_factor.reset", employee.email, account_id=employee.account_id, by=by)
    notices.tell(employee, NoticeKind.TWO_FACTOR_RESET, by=by.name)


def reseal(account_id: int) -> int:
    """Encrypt the account's secrets with the newest key; returns how many were not so. Raises InvalidToken."""
    adapter = TwoFactorAdapter()
    count = 0
    for factor in Authenticator.objects.select_for_update().filter(user__account_id=account_id):
        for field in {"secret", "seed"} & factor.data.keys():
            if sealing.is_newest(factor.data[field].encode()):
                continue
            factor.data[field] = adapter.encrypt(adapter.decrypt(factor.data[field]))
            factor.save(update_fields=["data"])
            count += 1
    return count


def _factors(employee: Employee) -> Any:
    return Authenticator.objects.filter(user=employee)
