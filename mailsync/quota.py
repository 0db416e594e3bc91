"""The monthly quota of an account: reserved before a letter leaves, given back if it is refused.

Everything here runs in the caller's transaction, so a letter is queued and counted together or not at all. Exact under
concurrency: one conditional UPDATE of one row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection
from django.db.models import Sum
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts.models import Account
from mailsync.models import LedgerEntry, Origin, Outgoing, OutgoingUsage
from plans.subscriptions import limits_for

# What counts against the plan: not what people write themselves, and not service mail.
COUNTED = (Origin.CRM, Origin.MARKETING, Origin.WORKFLOW, Origin.AUTOMATION)
NEARLY = 80  # percent, from which the admins are told
_RESERVE = """
UPDATE mailsync_outgoingusage
SET used = used + %(used)s, marketing = marketing + %(marketing)s, webmail = webmail + %(webmail)s
WHERE account_id = %(account)s AND month = %(month)s
AND (%(used)s = 0 OR %(limit)s::int IS NULL OR used + %(used)s <= %(limit)s)
AND (%(marketing)s = 0 OR %(share)s::int IS NULL OR marketing + %(marketing)s <= %(share)s)
"""


class QuotaUsedUp(Exception):
    """There is no room for so many recipients; `sentence` says limit, use and when it begins anew."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Usage:
    """One month of an account. Limits: None is unlimited, 0 not offered by the plan. `resets_on` is a local day."""

    month: date
    resets_on: date
    plan: str
    limit: int | None
    used: int
    marketing_limit: int | None
    marketing: int
    webmail: int

    @property
    def percent(self) -> int | None:
        """Of the limit, rounded down; None where there is nothing to be a part of."""
        return None if not self.limit else self.used * 100 // self.limit

    @property
    def is_nearly_used_up(self) -> bool:
        return self.percent is not None and self.percent >= NEARLY

    @property
    def is_used_up(self) -> bool:
        return self.percent is not None and self.percent >= 100


def usage(account: Account, at: datetime) -> Usage:
    """How much of its month an account has used."""
    today = at.astimezone(ZoneInfo(account.time_zone)).date()
    month = today.replace(day=1)
    limits = limits_for(account, today)
    row = OutgoingUsage.objects.filter(account=account, month=month).first() or OutgoingUsage(month=month)
    limit = limits.outgoing_per_month
    return Usage(
        month=month,
        resets_on=(month.replace(day=28) + _WEEK).replace(day=1),
        plan=limits.plan,
        limit=limit,
        used=row.used,
        marketing_limit=None if limit is None else limit * settings.MAIL_MARKETING_SHARE // 100,
        marketing=row.marketing,
        webmail=row.webmail,
    )


def reserve(outgoing: Outgoing, count: int, at: datetime) -> None:
    """Count so many recipients of a letter in the month in which it is to be sent. Raises QuotaUsedUp."""
    if outgoing.origin == Origin.SERVICE or not count:
        return
    now = usage(outgoing.account, at)
    OutgoingUsage.objects.bulk_create(
        [OutgoingUsage(account=outgoing.account, month=now.month)], ignore_conflicts=True
    )
    limits = {"limit": now.limit, "share": now.marketing_limit}
    if not _count(outgoing, now.month, count, limits):
        raise QuotaUsedUp(_refusal(outgoing, count, usage(outgoing.account, at)))


def release(outgoing: Outgoing, count: int | None = None) -> None:
    """Give back what was reserved for recipients who were refused; all that is left of it where not said."""
    held = outgoing.ledger.values("month").annotate(left=Sum("count")).filter(left__gt=0)
    # One month at most: who queues a letter anew gave everything back before.
    for month, left in list(held.values_list("month", "left")):
        _count(outgoing, month, -left if count is None else -min(count, left), {"limit": None, "share": None})


def _count(outgoing: Outgoing, month: date, count: int, limits: Mapping[str, int | None]) -> bool:
    columns = {
        "used": count if outgoing.origin in COUNTED else 0,
        "marketing": count if outgoing.origin == Origin.MARKETING else 0,
        "webmail": count if outgoing.origin == Origin.WEBMAIL else 0,
    }
    with connection.cursor() as cursor:
        cursor.execute(_RESERVE, {"account": outgoing.account_id, "month": month, **columns, **limits})
        if not cursor.rowcount:
            return False
    LedgerEntry.objects.create(
        account_id=outgoing.account_id, month=month, outgoing=outgoing, origin=outgoing.origin, count=count
    )
    return True


def _refusal(outgoing: Outgoing, count: int, now: Usage) -> str:
    told = {
        "plan": now.plan,
        "count": count,
        "used": now.used,
        "limit": now.limit,
        "share": now.marketing_limit,
        "marketing": now.marketing,
        "day": date_format(now.resets_on, "j F"),
    }
    if not now.limit:
        return _("The plan %(plan)s does not include mail from CRM. The draft is kept.") % told
    if outgoing.origin == Origin.MARKETING and now.used + count <= now.limit:
        return (
            _(
                "Campaigns may send to %(share)d recipients a month, and %(marketing)d are used: there is no room for "
                "%(count)d more. It begins anew on %(day)s. The draft is kept."
            )
            % told
        )
    return (
        _(
            "The company may write to %(limit)d recipients a month from CRM, and %(used)d are used: there is no room "
            "for %(count)d more. It begins anew on %(day)s. The draft is kept."
        )
        % told
    )


_WEEK = timedelta(days=7)
