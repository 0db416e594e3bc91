"""Consents as rows: made from a code, kept fresh by one worker at a time, forgotten at the provider.

Everything here may ask the provider, so only workers come here.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import tenancy
from mailsync import oauth, secrets, tokens
from mailsync.imap.errors import Refused, ServerError, Unreachable, Withdrawn
from mailsync.models import ConnectionTest, Consent
from mailsync.oauth import Provider
from mailsync.secrets import Secret
from mailsync.tokens import Tokens

# Renewed so long before its end: a run that begins now may not end with a token that dies in the middle.
EARLY = timedelta(minutes=5)
BARELY = timedelta(seconds=30)


def redeem(test: ConnectionTest) -> Consent:
    """The consent that a test's code stands for; from then on the test signs in with it.

    Raises Refused where it is not what was asked for (somebody else's, too narrow, not lasting), Unreachable.
    """
    provider = _provider(test.provider)
    asked = json.loads(secrets.unseal(bytes(test.secret), account_id=test.account_id).reveal())
    try:
        given = tokens.exchange(provider, **asked)
    except Withdrawn:
        raise Refused(
            _("The answer of %(provider)s came too late or was used before. Start again.")
            % {"provider": provider.name},
            step="consent",
        ) from None
    address = _who(provider, given, test)
    _check_extent(provider, given)
    with tenancy.acting_for(test.account_id):
        test.consent = Consent.objects.create(
            account_id=test.account_id,
            provider=provider.key,
            address=address,
            secret=sealed(given.access, given.refresh, test.account_id),
            expires_at=given.expires_at,
        )
        test.secret, test.login = b"", address
        test.save(update_fields=["consent", "secret", "login"])
    return test.consent


def access_token(consent: Consent, *, refused: str = "") -> Secret:
    """A token that is good for some minutes; renewed where need be, by one worker at a time: the others wait for the
    row and find it done. `refused` is a token that the mail server has just turned down: then another one.

    Raises Withdrawn, Unreachable; whatever goes wrong, the tokens that we have stay. Outside of every transaction.
    """
    found = _kept(consent, lambda row: _is_good(row, refused, EARLY))
    if found:
        return found
    # The one lock that is held around a question to a server: it is there to have it asked once.
    with tenancy.acting_for(consent.account_id):
        row = Consent.objects.select_for_update(no_key=True).filter(pk=consent.pk).first()
        if row is None:
            raise Withdrawn(_("The consent to read this mailbox was deleted. Give it again."), step="consent")
        if _is_good(row, refused, EARLY):
            return Secret(_opened(row)["access"])
        try:
            return _renewed(row)
        except Unreachable:
            if not _is_good(row, refused, BARELY):
                raise
            return Secret(_opened(row)["access"])


def token_at_hand(consent: Consent) -> Secret:
    """The token as it is, for who may not wait for a provider. Raises Unreachable where it has run out."""
    if not _is_good(consent, "", BARELY):
        raise Unreachable("The access token has run out; the next synchronisation renews it.", step="consent")
    return Secret(_opened(consent)["access"])


def forget(account_id: int, consent_id: int) -> None:
    """Delete a consent that no mailbox lives by any more, and have the provider forget it, as far as it can.

    Not where the same person's consent serves elsewhere: at Google, revoking one ends all that the person gave us.
    """
    with tenancy.acting_for(account_id):
        consent = Consent.objects.filter(pk=consent_id, mailbox=None).first()
        if consent is None:
            return
        refresh = _opened(consent)["refresh"]
        consent.delete()
        is_last = not _serves_elsewhere(consent)
    provider = oauth.by_key(consent.provider)
    if provider and is_last:
        with suppress(ServerError):
            tokens.revoke(provider, refresh)


def _serves_elsewhere(consent: Consent) -> bool:
    """Whether a mailbox or a test of the account has another consent of this person."""
    in_use = Consent.objects.exclude(mailbox=None, tests=None).filter(provider=consent.provider)
    addresses = in_use.values_list("address", flat=True)
    return any(oauth.same_person(address, consent.address) for address in addresses)


def _renewed(row: Consent) -> Secret:
    """Ask the provider and keep what it gave; the row is ours."""
    before = _opened(row)["refresh"]
    given = tokens.renew(_provider(row.provider), before)
    row.secret = sealed(given.access, given.refresh or before, row.account_id)
    row.expires_at = given.expires_at
    row.save(update_fields=["secret", "expires_at"])
    return Secret(given.access)


def _kept(consent: Consent, is_good: Callable[[Consent], bool]) -> Secret | None:
    with tenancy.acting_for(consent.account_id):
        row = Consent.objects.filter(pk=consent.pk).first()
    return Secret(_opened(row)["access"]) if row and is_good(row) else None


def _is_good(row: Consent, refused: str, ahead: timedelta) -> bool:
    return row.expires_at > timezone.now() + ahead and _opened(row)["access"] != refused


def _provider(key: str) -> Provider:
    provider = oauth.by_key(key)
    if provider is None:
        raise Unreachable(
            _(
                "This installation is not set up for sign-in by consent any more. An operator has to restore the "
                "client id in the settings. Nothing is lost."
            ),
            step="consent",
        )
    return provider


def _who(provider: Provider, given: Tokens, test: ConnectionTest) -> str:
    """The address that consented, which must be the one that was typed: nobody's box is connected by mistake."""
    expected = (
        [test.address, test.login] if test.mailbox is None else [test.mailbox.address, test.mailbox.login]
    )
    for name in given.people:
        if any(oauth.same_person(name, each) for each in expected):
            return name
    names = {"provider": provider.name, "address": test.address, "other": ", ".join(given.people)}
    raise Refused(
        _(
            "You consented as %(other)s, but this is about %(address)s. Sign in at %(provider)s as %(address)s."
        )
        % names
        if given.people
        else _("%(provider)s does not say who consented, so %(address)s was not connected. Ask the operator.")
        % names,
        step="consent",
    )


def _check_extent(provider: Provider, given: Tokens) -> None:
    """Google lets people untick rights, and forgets the lasting key for those who consented before."""
    said = {scope.casefold() for scope in given.scopes or provider.rights}
    if not {scope.casefold() for scope in provider.rights} <= said:
        raise Refused(
            _(
                "The right to read and send mail was not given at %(provider)s. Start again and leave it ticked."
            )
            % {"provider": provider.name},
            step="consent",
        )
    if not given.refresh:
        raise Refused(
            _("%(provider)s gave a consent for one hour only. Start again and allow lasting access.")
            % {"provider": provider.name},
            step="consent",
        )


def sealed(access: str, refresh: str, account_id: int) -> bytes:
    return secrets.seal(json.dumps({"access": access, "refresh": refresh}), account_id=account_id)


def _opened(row: Consent) -> dict[str, str]:
    kept: dict[str, str] = json.loads(secrets.unseal(bytes(row.secret), account_id=row.account_id).reveal())
    return kept
