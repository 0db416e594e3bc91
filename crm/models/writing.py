"""Templates of letters: what people write again and again, with fields that a client's record fills."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Account, Employee


class LetterTemplate(models.Model):
    """Its author's alone or, `shared`, everybody's of the company. In the bin while `binned_at` is set.

    `html` was cleaned (mime.writing); fields stand in it as `{contact.first name}` (crm.filling).
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    by = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="+")
    shared = models.BooleanField(default=False)
    name = models.CharField(max_length=120)
    subject = models.CharField(max_length=300, blank=True)
    html = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
    binned_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=~Q(name=""), name="a_template_has_a_name")]
        indexes = [models.Index(fields=["account", "name"], name="template_by_name")]

    def __str__(self) -> str:
        return self.name
