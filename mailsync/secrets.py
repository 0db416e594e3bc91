"""Mailbox passwords at rest: MultiFernet tokens that open only for the account they were sealed for."""

from dataclasses import dataclass

from django.utils.translation import gettext_lazy

from accounts import sealing


class WrongKeyError(Exception):
    """The token was sealed with a key that is not in MAIL_SECRET_KEYS, or for another account.

    No server has refused anything, so it is tried again: a wrong setting is put right, and no mailbox needs a repair.
    """

    sentence = gettext_lazy(
        "The stored password cannot be opened with the keys of this installation. It goes on by itself when its "
        "operator has put MAIL_SECRET_KEYS right; where the key is lost, enter the password again."
    )


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A password in memory; its repr and str never show it, so no log or error page can."""

    _text: str

    def reveal(self) -> str:
        """The password itself: call it where it goes on the wire and nowhere else."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__


def seal(text: str, *, account_id: int) -> bytes:
    """Encrypt with the newest key. The account is inside the token: a copied row opens nowhere else."""
    return sealing.encrypt(f"{account_id}:{text}")


def unseal(token: bytes, *, account_id: int) -> Secret:
    """Decrypt with any key of the list. Raises WrongKeyError."""
    try:
        plain = sealing.decrypt(token)
    except sealing.InvalidToken as error:
        raise WrongKeyError("A mailbox secret cannot be opened with MAIL_SECRET_KEYS.") from error
    owner, _, text = plain.partition(":")
    if owner != str(account_id):
        raise WrongKeyError("A mailbox secret belongs to another account.")
    return Secret(text)
