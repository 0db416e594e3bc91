"""A new company: its account, its first admin and its plan, all of them or none."""

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import people, tenancy
from accounts.models import Account, Employee, Role
from plans.subscriptions import change_plan


@transaction.atomic
def found(
    company: str, *, plan: str, email: str, name: str, time_zone: str, password: str | None
) -> Employee:
    """Make the company and return its first admin, who signs in with the password.

    Raises ValidationError with a message per field of `Account` and `Employee`, where the company's name is the
    field "company", and UnknownPlanError. Of two at once with one name or one address the second is refused.
    """
    account = _account(company, time_zone)
    with tenancy.acting_for(account.pk):
        change_plan(account, plan, on=account.today(), by=None)
        return people.add_employee(
            account, email=email, name=name, role=Role.ADMIN, password=password, by=None
        )


def _account(company: str, time_zone: str) -> Account:
    taken = ValidationError({"company": _("There is a company of this name already.")})
    account = Account(name=company, time_zone=time_zone)
    # What only its end fills in is empty, as it should be.
    account.full_clean(exclude=["deletes_at", "erasing_since"], validate_unique=False)
    if Account.objects.filter(name__iexact=company).exists():
        raise taken
    try:
        with transaction.atomic():
            account.save()
    except IntegrityError as error:  # somebody took the name at this very moment
        raise taken from error
    return account
