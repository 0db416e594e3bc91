"""ConnectionTest: an attempt to reach a mail server, made by a worker while the page watches."""

from django.db import models
from django.utils import timezone

from accounts.models import Account, Employee
from mailsync.models.consent import Consent
from mailsync.models.mailbox import Mailbox, Security


class ConnectionTest(models.Model):
    """What the employee typed (secret sealed), what each step said, and the folders that were found.

    `steps` = [{"key": "consent"|"name"|"connect"|"tls"|"login"|"folders"|"smtp", "text": sentence,
    "state": "waiting"|"running"|"ok"|"failed"}]; `found` = [roles.FoundFolder.as_json()]. `mailbox` is set
    when a broken login is being repaired. Rows are dropped after a day.

    With a `provider` nothing secret is typed: the test is `asked` until the person comes back from there, `secret`
    is then what the worker needs to get the keys (JSON of tokens.exchange's arguments), and at last `consent` has them.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    by = models.ForeignKey(Employee, on_delete=models.CASCADE, related_name="+")
    mailbox = models.ForeignKey(Mailbox, null=True, on_delete=models.CASCADE, related_name="+")
    address = models.EmailField(max_length=254)
    imap_host = models.CharField(max_length=253)
    imap_port = models.PositiveIntegerField(default=993)
    imap_security = models.CharField(max_length=10, choices=Security, default=Security.TLS)
    smtp_host = models.CharField(max_length=253, blank=True)
    smtp_port = models.PositiveIntegerField(default=465)
    smtp_security = models.CharField(max_length=10, choices=Security, default=Security.TLS)
    smtp_most_bytes = models.BigIntegerField(null=True)
    login = models.CharField(max_length=254)
    secret = models.BinaryField()
    provider = models.CharField(max_length=20, blank=True)
    consent = models.ForeignKey(Consent, null=True, on_delete=models.SET_NULL, related_name="tests")
    state = models.CharField(
        max_length=10,
        default="waiting",
        choices=[(s, s) for s in ("asked", "waiting", "running", "passed", "failed", "used")],
    )
    steps = models.JSONField(default=list)
    found = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.address}: {self.state}"
