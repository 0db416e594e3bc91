"""What every verb of tasks tells: a refusal to people, an entry to the audit log."""

from accounts import audit
from accounts.models import Employee
from tasks.models import Task


class CannotDo(Exception):
    """Nothing was changed; the text is a sentence for people."""


def record(verb: str, task: Task, by: Employee, **details: object) -> None:
    """By number: a title may be the subject of a mail, which the audit log must not tell."""
    audit.record(verb, f"Task {task.pk}", account_id=task.account_id, by=by, **details)
