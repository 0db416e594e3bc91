"""Mail of a given age with a given bond, and the limits of the plans as they are published."""

from datetime import UTC, date, datetime, timedelta

from crm import activities
from crm.matching import Ref
from crm.models import Contact
from mailsync.models import Folder, Message
from plans.limits import Limits
from plans.models import PlanLimits
from tasks import actions as tasks
from tests.world import World

# Before now: what is stored now was first seen later, and ages from its date of receipt.
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def limits_of(plan: str, generation: int) -> Limits:
    """The published row of 2019 or of 2024."""
    on = {2019: date(2019, 5, 1), 2024: date(2024, 1, 1)}[generation]
    return PlanLimits.objects.get(plan=plan, effective_from=on).as_limits()


def mail(
    world: World, *, age: timedelta, at: datetime, folder: Folder | None = None, **parts: object
) -> Message:
    """A message that is so old at a moment, to a second, as servers tell it."""
    received_at = (at - age).replace(microsecond=0)
    placement = world.message(folder or world.folder(world.ann_box), received_at=received_at, **parts)  # type: ignore[arg-type]
    return placement.message


def bind_to_task(world: World, *messages: Message) -> None:
    with world.acting():
        tasks.create_from(messages, by=world.ann)


def bind_to_client(world: World, *messages: Message) -> None:
    with world.acting():
        contact, _made = Contact.objects.get_or_create(account=world.acme, name="Zoe", responsible=world.ann)
        for message in messages:
            activity = activities.kept_for(world.acme.pk, message.pk)
            activities.bind(activity, Ref("contact", contact.pk), by=world.ann, alone=True)
