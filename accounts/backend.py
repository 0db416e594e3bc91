"""Who signs in, and who every request is from."""

from functools import cache

from allauth.account.auth_backends import AuthenticationBackend

from accounts import prepared
from accounts.models import Employee


class EmployeeBackend(AuthenticationBackend):  # type: ignore[misc]
    """allauth's, with a shorter way to the employee of a request."""

    def get_user(self, user_id: int) -> Employee | None:
        """The active employee of a session. Every request begins with it, so the statement is not built each time."""
        for employee in Employee.objects.raw(prepared.ready(_statement()), [user_id]):
            return employee if self.user_can_authenticate(employee) else None
        return None


@cache
def _statement() -> str:
    """With what every page must know of a person (Employee.owes_two_factor and so on), for no further question."""
    columns = ", ".join(f"e.{field.column}" for field in Employee._meta.concrete_fields)
    return f"""
        SELECT {columns},
            (SELECT two_factor_demanded FROM accounts_account WHERE id = e.account_id)
                AND NOT EXISTS (SELECT FROM mfa_authenticator WHERE user_id = e.id AND type <> 'recovery_codes')
                AS owes_two_factor,
            (SELECT deletes_at FROM accounts_account WHERE id = e.account_id) AS company_deletes_at,
            EXISTS (SELECT FROM accounts_personalnotice WHERE employee_id = e.id AND seen_at IS NULL) AS has_notices
        FROM {Employee._meta.db_table} e WHERE e.id = %s"""  # noqa: S608 (names from the model)
