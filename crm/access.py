"""Who may see which record.

Everybody of the company sees and changes every contact, company, lead and deal, with their activities: SPEC.md asks
for no more, and who answers a client must see what was written. Whoever is responsible is a name, not a lock. Other
companies are kept out by row-level security. A record never opens a mailbox: what it shows of a mail is the
activity's own copy. Pipelines are changed by admins; a mailbox's CRM settings by those who manage the mailbox.
"""

from django.http import Http404
from django.shortcuts import get_object_or_404

from accounts.models import Employee
from crm.kinds import Kind
from crm.models import Pipeline, Record, Stage


def get_record(employee: Employee, kind: Kind, record_id: int) -> Record:
    """A record that is not in the bin; Http404 else."""
    found = kind.model._default_manager.filter(
        account_id=employee.account_id, pk=record_id, binned_at=None
    ).first()
    if found is None:
        raise Http404
    return found


def get_pipeline(employee: Employee, pipeline_id: int) -> Pipeline:
    return get_object_or_404(Pipeline, account_id=employee.account_id, pk=pipeline_id)


def get_stage(employee: Employee, stage_id: int) -> Stage:
    stages = Stage.objects.select_related("pipeline")
    return get_object_or_404(stages, account_id=employee.account_id, pk=stage_id)


def get_binned(employee: Employee, kind: Kind, record_id: int) -> Record:
    found = kind.model._default_manager.filter(
        account_id=employee.account_id, pk=record_id, binned_at__isnull=False
    ).first()
    if found is None:
        raise Http404
    return found
