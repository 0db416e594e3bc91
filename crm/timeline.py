"""What happened with a record, newest first: pages by keyset over the binding's date, so that length costs nothing."""

from django.db.models import Q
from django.http import Http404

from accounts.requests import id_of
from crm.kinds import kind_of
from crm.models import Activity, ActivityKind, Binding, Record

PAGE = 30


def page(record: Record, *, kind: str = "", after: str = "") -> tuple[list[Activity], str]:
    """One page of activities and the `after` of the next ("" at the end); `kind` narrows to one of ActivityKind.

    Http404 for nonsense. Neither headers nor bodies are read.
    """
    rows = Binding.objects.filter(**{kind_of(record).link: record})
    if kind:
        if kind not in ActivityKind.values:
            raise Http404
        rows = rows.filter(activity__kind=kind)
    if after:
        rows = rows.filter(_below(record, after))
    # The keys alone come from the index, in its order; a join would have the planner sort the whole timeline.
    keys = list(rows.order_by("-at", "-activity_id").values_list("activity_id", flat=True)[: PAGE + 1])
    found = Activity.objects.select_related("by").defer("header").in_bulk(keys[:PAGE])
    shown = [found[key] for key in keys[:PAGE]]
    return shown, str(shown[-1].pk) if len(keys) > PAGE else ""


def _below(record: Record, after: str) -> Q:
    last = Activity.objects.filter(account_id=record.account_id, pk=id_of(after)).only("at").first()
    if last is None:
        raise Http404
    return Q(at__lt=last.at) | Q(at=last.at, activity_id__lt=last.pk)
