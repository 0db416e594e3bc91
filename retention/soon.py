"""Lists of mail narrowed to what leaves soon (mailsync.narrowing): policy's rule as SQL about a place.

Named by settings.MAIL_LEAVING, because mail knows nothing of who stands above it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import DateTimeField, ExpressionWrapper, F, Max, Value
from django.db.models.expressions import RawSQL
from django.utils import timezone

from accounts.models import Employee
from mailsync.models import Folder, Message
from plans.subscriptions import limits_for
from retention.policy import Rule


@dataclass(frozen=True, slots=True)
class Soon:
    """What leaves within some days by the plan of an employee's company."""

    rule: Rule

    @classmethod
    def of(cls, reader: int, days: int) -> "Soon":
        account = Employee.objects.select_related("account").get(pk=reader).account
        now = timezone.now()
        return cls(Rule.of(limits_for(account, account.day_of(now)), now).within(days))

    @property
    def sql(self) -> str:
        """About the placement `p`: true, or NULL. Asked key by key, as narrowing's other words."""
        row = self.rule.leaving(Message.objects.filter(pk=RawSQL("p.message_id", [])))
        asked = row.order_by().annotate(yes=Value(True)).values_list("yes")[:1]
        with connection.cursor() as cursor:
            sql: bytes = cursor.mogrify(*asked.query.sql_with_params())
        return f"({sql.decode()})"

    def before(self, folder_ids: Collection[int]) -> datetime:
        """What leaves out of these folders was received before this: the age of nearly all mail counts from then."""
        boxes = list(Folder.objects.filter(pk__in=folder_ids).values_list("mailbox", flat=True))
        postdated = Message.objects.filter(mailbox__in=boxes, received_at__gt=F("stored_at"))
        # Of the sum, not of the column: for that the planner reads the whole mailbox by date until it meets one.
        at = ExpressionWrapper(F("received_at") + timedelta(), output_field=DateTimeField())
        latest = self.rule.aged(postdated).aggregate(latest=Max(at))["latest"]
        return max(self.rule.cutoff, latest + timedelta(seconds=1)) if latest else self.rule.cutoff
