"""What people do with records: give them addresses, throw them away, bring them back, make one of two.

Every function runs in a transaction that acts for the account.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import Employee
from crm import activities
from crm.kinds import KINDS, kind_of, linked
from crm.models import Activity, Company, Contact, Deal, EmailAddress, Lead, LetterTemplate, Record

BIN_DAYS = 30


class CannotChange(Exception):
    """The change is refused; the text is a sentence for the page."""


def addresses_of(record: Record) -> list[str]:
    """In the order in which they were given: the first is the one to write to."""
    rows = EmailAddress.objects.filter(**{kind_of(record).link: record}).order_by("pk")
    return list(rows.values_list("address", flat=True))


def owner_of(account_id: int, address: str) -> Record | None:
    """Whose address this is, if anybody's outside of the bin."""
    row = (
        EmailAddress.objects.filter(account_id=account_id, address=address.lower(), active=True)
        .select_related("contact", "company", "lead")
        .first()
    )
    return next(linked(row), None) if row else None


def set_addresses(record: Record, addresses: Iterable[str]) -> None:
    """Make these the record's addresses. Raises CannotChange, and changes nothing, where one is another's."""
    link = {kind_of(record).link: record}
    wanted = list(dict.fromkeys(address.lower() for address in addresses))
    with transaction.atomic():
        EmailAddress.objects.filter(**link).exclude(address__in=wanted).delete()
        known = set(EmailAddress.objects.filter(**link).values_list("address", flat=True))
        for address in wanted:
            if address not in known:
                _add_address(record, address, link)


def _add_address(record: Record, address: str, link: Mapping[str, Record]) -> None:
    owner = owner_of(record.account_id, address)
    try:
        if owner is None:
            with transaction.atomic():
                EmailAddress.objects.create(account_id=record.account_id, address=address, **link)
            return
    except IntegrityError:  # somebody was faster
        owner = owner_of(record.account_id, address)
    raise CannotChange(
        _("%(address)s belongs to “%(owner)s” already.") % {"address": address, "owner": owner or "?"}
    )


# The bin


def bin_record(record: Record, *, by: Employee) -> None:
    """Out of every list at once; its addresses are free for others. After BIN_DAYS it is gone for good."""
    kind = kind_of(record)
    record.binned_at = timezone.now()
    record.save(update_fields=["binned_at"])
    if kind.has_addresses:
        EmailAddress.objects.filter(**{kind.link: record}).update(active=False)
    audit.record(f"{kind.link}.deleted", record.name, account_id=record.account_id, by=by, id=record.pk)


def restore(record: Record, *, by: Employee) -> list[str]:
    """Bring a record back; returns those of its addresses that somebody else has got meanwhile."""
    kind = kind_of(record)
    if isinstance(record, Company) and _domain_taken(record):
        record.domain = ""
    record.binned_at = None
    record.save()
    lost = []
    if kind.has_addresses:
        for row in EmailAddress.objects.filter(**{kind.link: record}, active=False).order_by("pk"):
            if owner_of(record.account_id, row.address):
                lost.append(row.address)
                row.delete()
            else:
                row.active = True
                row.save(update_fields=["active"])
    audit.record(f"{kind.link}.restored", record.name, account_id=record.account_id, by=by, id=record.pk)
    return lost


def _domain_taken(company: Company) -> bool:
    same = Company.objects.filter(account_id=company.account_id, domain=company.domain, binned_at=None)
    return bool(company.domain) and same.exclude(pk=company.pk).exists()


def empty_bin(account_id: int, now: datetime) -> int:
    """Delete for good what has been in the bin for BIN_DAYS; returns how many records went."""
    gone = 0
    for kind in KINDS.values():
        old = kind.model._default_manager.filter(
            account_id=account_id, binned_at__lt=now - timedelta(days=BIN_DAYS)
        )
        gone += old.count()
        old.delete()
    LetterTemplate.objects.filter(
        account_id=account_id, binned_at__lt=now - timedelta(days=BIN_DAYS)
    ).delete()
    # What was bound to them alone goes with them; what a person unlinked has waited as long as they have.
    unbound = Activity.objects.filter(account_id=account_id, bindings=None)
    unbound.filter(Q(unbound_at=None) | Q(unbound_at__lt=now - timedelta(days=BIN_DAYS))).delete()
    return gone


# One of two


def merge(keep: Record, lose: Record, *, take: Collection[str], by: Employee) -> None:
    """Everything that hangs on `lose` moves to `keep`, which takes the named values from it; `lose` goes to the bin.

    Addresses, mail, notes, deals and people move for good: bringing `lose` back brings its own values only.
    """
    kind = kind_of(keep)
    if type(keep) is not type(lose) or keep.pk == lose.pk:
        raise CannotChange(_("Only two different records of one kind can be merged."))
    for name in take:
        setattr(keep, name, getattr(lose, name))
    if isinstance(lose, Company):
        # Both cannot have the domain, not even for a moment.
        Company.objects.filter(pk=lose.pk).update(domain="")
    keep.save()
    if kind.has_addresses:
        EmailAddress.objects.filter(**{kind.link: lose}).update(**{kind.link: keep})
    for model, column in _POINTING.get(kind.link, ()):
        model._default_manager.filter(**{column: lose}).update(**{column: keep})
    activities.take_over(activities.ref_of(lose), [activities.ref_of(keep)], account_id=keep.account_id)
    lose.refresh_from_db()
    bin_record(lose, by=by)
    activities.changed(keep, _("“%(name)s” was merged into this record") % {"name": lose.name}, by=by)
    audit.record(
        f"{kind.link}.merged", keep.name, account_id=keep.account_id, by=by, id=keep.pk, merged=lose.pk
    )


_POINTING: dict[str, tuple[tuple[type[Record], str], ...]] = {
    "company": ((Contact, "company"), (Deal, "company")),
    "contact": ((Deal, "contact"), (Lead, "contact")),
}
