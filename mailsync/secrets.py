"""Mailbox passwords at rest: MultiFernet tokens that open only for the account they were sealed for."""

from dataclasses import dataclass
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class WrongKeyError(Exception):
    """The token was sealed with a key that is not in MAIL_SECRET_KEYS, or for another account."""


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
    return _fernet(tuple(settings.MAIL_SECRET_KEYS)).encrypt(f"{account_id}:{text}".encode())


def unseal(token: bytes, *, account_id: int) -> Secret:
    """Decrypt with any key of the list. Raises WrongKeyError."""
    try:
        plain = _fernet(tuple(settings.MAIL_SECRET_KEYS)).decrypt(bytes(token)).decode()
    except InvalidToken as error:
        raise WrongKeyError("A mailbox secret cannot be opened with MAIL_SECRET_KEYS.") from error
    owner, _, text = plain.partition(":")
    if owner != str(account_id):
        raise WrongKeyError("A mailbox secret belongs to another account.")
    return Secret(text)


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])
