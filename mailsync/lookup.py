"""Operators name a mailbox by its address; this finds the account it is in."""

from accounts import tenancy
from accounts.models import Account
from mailsync.models import Mailbox


class NotOneMailbox(LookupError):
    """No mailbox has the address, or several accounts have one; the text says what to do."""


def find_mailbox(address: str, *, account: str = "") -> Mailbox:
    """The one mailbox with this address, searched in every account or in the named one.

    Its own columns are loaded; what hangs on it needs `tenancy.acting_for(mailbox.account_id)`.
    """
    accounts = Account.objects.filter(name=account) if account else Account.objects.order_by("name")
    if account and not accounts:
        raise NotOneMailbox(f"There is no account named {account!r}.")
    found = [mailbox for each in accounts if (mailbox := _in(each, address)) is not None]
    if not found:
        raise NotOneMailbox(f"No mailbox has the address {address!r}.")
    if len(found) > 1:
        names = ", ".join(mailbox.account.name for mailbox in found)
        raise NotOneMailbox(f"{address!r} is connected in several accounts ({names}): say --account NAME.")
    return found[0]


def _in(account: Account, address: str) -> Mailbox | None:
    with tenancy.acting_for(account.pk):
        return (
            Mailbox.objects.filter(account=account, address__iexact=address).select_related("account").first()
        )
