"""Writing to a client: whom, and a draft that is known as written from the record by its own Message-ID (crm.tokens).

When it leaves it is on the record's timeline (crm.departures); replies name its Message-ID and come back there.
"""

from accounts.models import Employee
from crm import activities, directory, tokens
from crm.kinds import kind_of
from crm.models import Activity, ActivityKind, Binding, Deal, Record
from mailsync import composing, outbox
from mailsync.composing import Sender
from mailsync.mime.headers import Address
from mailsync.models import Origin, Outgoing

_LOOKED_THROUGH = 200  # of the record's latest mails, for the address that was used last


def addresses_of(record: Record) -> list[Address]:
    """Where one can write to: the record's addresses (a deal has those of its contact and company), last used first."""
    known = {
        address: Address(owner.name, address)
        for owner in _owners(record)
        for address in directory.addresses_of(owner)
    }
    bindings = Binding.objects.filter(**{kind_of(record).link: record})
    latest = Activity.objects.filter(kind=ActivityKind.MAIL, bindings__in=bindings).order_by("-at")
    used: list[str] = []
    for sender, recipients in latest.values_list("sender_address", "recipients")[:_LOOKED_THROUGH]:
        used += [
            sender.lower(),
            *(pair[1].lower() for key in ("to", "cc") for pair in recipients.get(key, ())),
        ]
    order = {address: place for place, address in reversed(list(enumerate(used)))}
    return sorted(known.values(), key=lambda person: order.get(person.address.lower(), len(used)))


def _owners(record: Record) -> list[Record]:
    if not isinstance(record, Deal):
        return [record]
    return [each for each in (record.contact, record.company) if each and not each.binned_at]


def begin(record: Record, address: Address, sender: Sender, *, by: Employee) -> Outgoing:
    """A draft to one of the record's addresses; it counts against the monthly quota."""
    host = outbox.new_message_id(sender.address).rpartition("@")[2]
    return outbox.start(
        sender.mailbox,
        by=by,
        origin=Origin.CRM,
        message_id=tokens.message_id(activities.ref_of(record), account_id=record.account_id, host=host),
        from_name=sender.name,
        from_address=sender.address,
        to=[[address.name, address.address]],
        html=composing.beginning(sender),
    )
