"""The audit log's verbs as sentences. A verb without one is shown as it is: nothing is hidden."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import AuditEntry

# The verbs' first words, as one asks for them.
GROUPS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "sign-in": (gettext_lazy("Signing in"), ("sign_in", "session", "passkey", "two_factor")),
    "people": (gettext_lazy("People"), ("employee", "leaver", "invitation", "department", "operator")),
    "mailboxes": (gettext_lazy("Mailboxes and access"), ("mailbox", "folder", "break_glass")),
    "plan": (
        gettext_lazy("Plan and company"),
        ("plan", "plan_row", "plan_request", "company", "account", "data"),
    ),
    "crm": (gettext_lazy("CRM and tasks"), ("contact", "contacts", "company", "lead", "deal", "crm", "task")),
    "leaving": (gettext_lazy("What left Webmail"), ("purge",)),
    "exports": (gettext_lazy("Exports"), ("audit", "export")),
}

# {by} is who did it, {subject} what it was done to, the others are the entry's details.
SENTENCES: dict[str, Any] = {
    "audit.exported": gettext_lazy("{by} exported the audit log"),
    "company.changed": gettext_lazy("{by} changed the company's settings"),
    "company.deletion_called_off": gettext_lazy("{by} called off that the company is deleted"),
    "company.deletion_planned": gettext_lazy("{by} asked that the company is deleted"),
    "contacts.imported": gettext_lazy("{by} imported contacts from {subject}"),
    "crm.exception_added": gettext_lazy("{by} ended saving mail of {subject} to CRM"),
    "crm.exception_removed": gettext_lazy("{by} had mail of {subject} saved to CRM again"),
    "crm.pipeline_changed": gettext_lazy("{by} changed the pipeline {subject}"),
    "crm.pipeline_deleted": gettext_lazy("{by} deleted the pipeline {subject}"),
    "crm.pipeline_made": gettext_lazy("{by} made the pipeline {subject}"),
    "crm.stage_deleted": gettext_lazy("{by} deleted the stage {subject}"),
    "crm.template_deleted": gettext_lazy("{by} deleted the template {subject}"),
    "crm.template_saved": gettext_lazy("{by} saved the template {subject}"),
    "department.deleted": gettext_lazy("{by} deleted the department {subject}"),
    "department.made": gettext_lazy("{by} made the department {subject}"),
    "department.renamed": gettext_lazy("{by} renamed the department {before} to {subject}"),
    "employee.added": gettext_lazy("{by} added {subject} as {role}"),
    "employee.deactivated": gettext_lazy("{by} shut {subject} out"),
    "employee.joined": gettext_lazy("{subject} joined as {role}, invited by {invited_by}"),
    "employee.moved": gettext_lazy("{by} moved {subject} from the department {before} to {department}"),
    "employee.password_changed": gettext_lazy("{subject} changed their password"),
    "employee.password_renewed": gettext_lazy("{by} gave {subject} a new password"),
    "employee.reactivated": gettext_lazy("{by} let {subject} in again"),
    "employee.role_changed": gettext_lazy("{by} made {subject} {role}"),
    "export.asked": gettext_lazy("{by} asked for an export: {subject}"),
    "export.by_operator": gettext_lazy("Those who run the installation exported {subject}: {reason}"),
    "export.cancelled": gettext_lazy("{by} called off an export: {subject}"),
    "export.downloaded": gettext_lazy("{by} downloaded an export: {subject}"),
    "export.failed": gettext_lazy("An export failed: {subject}"),
    "export.written": gettext_lazy("An export was written for {by}: {subject}"),
    "export.made": gettext_lazy("{by} exported {subject}"),
    "folder.deleted": gettext_lazy("{by} deleted the folder {subject} of {mailbox}"),
    "invitation.link_made": gettext_lazy("{by} made a new link for the invitation of {subject}"),
    "invitation.made": gettext_lazy("{by} invited {subject} as {role}"),
    "invitation.withdrawn": gettext_lazy("{by} withdrew the invitation of {subject}"),
    "lead.converted": gettext_lazy("{by} made a contact of the lead {subject}"),
    "leaver.admins_warned": gettext_lazy(
        "The admins were told that the mailboxes of {subject} end soon: {ends}"
    ),
    "leaver.ended": gettext_lazy("30 days after {subject} had left, what nobody had taken was disconnected"),
    "leaver.given_back": gettext_lazy("{by} had given back to {subject} what went to an heir"),
    "leaver.handed_over": gettext_lazy("{by} had {to} inherit what {subject} held"),
    "mailbox.brought_back": gettext_lazy("{by} brought {subject} back to work"),
    "mailbox.connected": gettext_lazy("{by} connected {subject} for {owner}"),
    "mailbox.crm_changed": gettext_lazy("{by} changed how {subject} feeds CRM"),
    "mailbox.disconnected": gettext_lazy("{by} disconnected {subject}"),
    "mailbox.emergency_access": gettext_lazy(
        "{by} opened {subject} in an emergency, until {until}: {reason}"
    ),
    "mailbox.emergency_ended": gettext_lazy("{by} ended the emergency access of {of} to {subject}"),
    "mailbox.fetched_again": gettext_lazy("{by} had {days} days of mail of {subject} fetched"),
    "mailbox.folders_chosen": gettext_lazy("{by} chose the folders of {subject}"),
    "mailbox.loss_followed": gettext_lazy("{by} followed the server of {subject}, where mail was missing"),
    "mailbox.loss_kept": gettext_lazy("{by} kept mail that the server of {subject} no longer shows"),
    "mailbox.paused": gettext_lazy("{by} paused {subject}"),
    "mailbox.read_apart": gettext_lazy("{by} gave each person read and unread of their own in {subject}"),
    "mailbox.read_together": gettext_lazy("{by} made read and unread of {subject} one for everybody"),
    "mailbox.reconnected": gettext_lazy("{by} connected {subject} again for {owner}"),
    "mailbox.repaired": gettext_lazy("{by} repaired the sign-in to {subject}"),
    "mailbox.resumed": gettext_lazy("{by} let {subject} go on"),
    "mailbox.sender_renamed": gettext_lazy("{by} changed under which name {subject} sends"),
    "mailbox.server_exchanged": gettext_lazy("{by} moved {subject} to another server"),
    "mailbox.shared": gettext_lazy("{by} let {to} into {subject} to {level}"),
    "mailbox.transferred": gettext_lazy("{by} handed {subject} from {before} to {to}"),
    "mailbox.unshared": gettext_lazy("{by} ended the access of {to} to {subject}"),
    "operator.ended": gettext_lazy("{subject} is no operator any more"),
    "operator.made": gettext_lazy("{subject} became an operator"),
    "plan.asked_for": gettext_lazy("{by} asked operators for the plan {subject} from {on} on"),
    "plan.changed": gettext_lazy("{by} changed the plan from {before} to {subject}, from {on} on"),
    "plan.request_declined": gettext_lazy("An operator declined the plan {subject}"),
    "plan.request_withdrawn": gettext_lazy("{by} withdrew the request for the plan {subject}"),
    "plan_request.declined": gettext_lazy("{by} declined the plan {plan} for {subject}"),
    "plan_request.given": gettext_lazy("{by} gave {subject} the plan {plan} from {on} on"),
    "plan_row.added": gettext_lazy("{by} added a row to the plan {subject}"),
    "plan_row.changed": gettext_lazy("{by} changed a row of the plan {subject}"),
    "plan_row.deleted": gettext_lazy("{by} deleted a row of the plan {subject}"),
    "purge.approved": gettext_lazy("{by} let {subject} go on: {messages} messages"),
    "purge.ended": gettext_lazy(
        "{subject} was given up, because the limits changed: {removed} removed, {hidden} hidden"
    ),
    "purge.finished": gettext_lazy("{subject} is over: {removed} messages removed, {hidden} hidden"),
    "purge.refused": gettext_lazy("{by} stopped {subject}: {messages} messages stayed"),
    "purge.waits": gettext_lazy("{subject} waits for an admin: {messages} of {of} messages would leave"),
    "session.ended": gettext_lazy("{by} ended a session of theirs"),
    "session.others_ended": gettext_lazy("{by} ended all other sessions of theirs"),
    "sign_in.failed": gettext_lazy("Somebody failed to sign in as {subject} from {address}"),
    "sign_in.made": gettext_lazy("{by} signed in from {address}"),
    "sign_in.ended": gettext_lazy("{by} signed out from {address}"),
    "task.assigned": gettext_lazy("{by} made {to} responsible for {subject}"),
    "task.deleted": gettext_lazy("{by} deleted the task {subject}"),
    "task.mail_bound": gettext_lazy("{by} bound mail to {subject}"),
    "task.mail_unbound": gettext_lazy("{by} took mail off {subject}"),
    "task.participant_added": gettext_lazy("{by} let {who} take part in {subject}"),
    "task.participant_removed": gettext_lazy("{by} let {who} take part in {subject} no more"),
    "two_factor.added": gettext_lazy("{subject} got a second factor: {kind}"),
    "two_factor.removed": gettext_lazy("A second factor of {subject} was removed: {kind}"),
    "two_factor.reset": gettext_lazy("{by} took away the second factor of {subject}"),
}
_RECORDS = {
    "deleted": gettext_lazy("{by} deleted {subject}"),
    "restored": gettext_lazy("{by} took {subject} back out of the bin"),
    "merged": gettext_lazy("{by} merged another record into {subject}"),
}
_KINDS = ("contact", "company", "lead", "deal")
SENTENCES |= {f"{kind}.{verb}": sentence for kind in _KINDS for verb, sentence in _RECORDS.items()}


# Values of details that are words of the program.
_VALUES = {
    "admin": gettext_lazy("an admin"),
    "supervisor": gettext_lazy("a supervisor"),
    "employee": gettext_lazy("an employee"),
    "reply": gettext_lazy("answer"),
}


class _Words(dict[str, object]):
    """What a sentence may name, and what it has named; a detail that an old entry does not have is a dash."""

    def __init__(self, words: dict[str, object]) -> None:
        super().__init__(words)
        self.named: set[str] = set()

    def __getitem__(self, name: str) -> object:
        self.named.add(name)
        value = self.get(name)
        return _VALUES.get(str(value), value) if value not in (None, "") else "–"


def told(entry: AuditEntry) -> tuple[str, dict[str, object]]:
    """The entry as a sentence, and those of its details that the sentence does not say."""
    words = _Words(
        {**entry.details, "by": entry.by or _("Mailbound"), "subject": entry.subject, "verb": entry.verb}
    )
    sentence = SENTENCES.get(entry.verb, "{by}: {verb} {subject}")
    text = str(sentence).format_map(words)
    return text, {name: value for name, value in entry.details.items() if name not in words.named}
