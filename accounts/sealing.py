"""What the installation's keys (MAIL_SECRET_KEYS) encrypt: mailbox passwords, two-factor secrets, links by mail."""

from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

__all__ = ["InvalidToken", "decrypt", "encrypt", "is_newest"]


def encrypt(text: str) -> bytes:
    """With the newest key; the token is fit for a URL."""
    return _fernet(tuple(settings.MAIL_SECRET_KEYS)).encrypt(text.encode())


def decrypt(token: bytes, *, seconds: int | None = None) -> str:
    """With any key of the list. Raises InvalidToken, also where the token is older than so many seconds."""
    return _fernet(tuple(settings.MAIL_SECRET_KEYS)).decrypt(bytes(token), ttl=seconds).decode()


def is_newest(token: bytes) -> bool:
    """Whether the first key opens it: the others may go when that is so of every token."""
    try:
        _fernet(tuple(settings.MAIL_SECRET_KEYS[:1])).decrypt(bytes(token))
    except InvalidToken:
        return False
    return True


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])
