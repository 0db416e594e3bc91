"""How operators' commands take a first password: from the environment, never from the command line."""

import os

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from accounts import people


def password_from(variable: str | None) -> tuple[str, bool]:
    """The password in the variable, or a new one (True: say it). Raises CommandError if it is missing or weak."""
    if variable is None:
        return people.new_password(), True
    password = os.environ.get(variable, "")
    if not password:
        raise CommandError(f"The environment variable {variable} is not set: put the password there.")
    try:
        validate_password(password)
    except ValidationError as error:
        raise CommandError(f"The password in {variable} will not do: {sentences(error)}") from error
    return password, False


def sentences(error: ValidationError) -> str:
    """One line for an operator, the field's name before its message."""
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    return " ".join(
        message if field == "__all__" else f"{field}: {message}"
        for field, messages in error.message_dict.items()
        for message in messages
    )
