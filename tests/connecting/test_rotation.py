"""Operators change the key of the mailbox passwords without anybody noticing."""

from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command

from accounts import tenancy
from mailsync import secrets
from mailsync.models import Mailbox
from tests.world import MAIL_PASSWORD, World

pytestmark = pytest.mark.django_db


def test_the_old_key_can_go_once_all_passwords_of_all_companies_were_sealed_anew(world: World, settings):
    old, new = settings.MAIL_SECRET_KEYS[0], Fernet.generate_key().decode()
    settings.MAIL_SECRET_KEYS = [new, old]
    said = StringIO()
    call_command("rotate_secrets", stdout=said)
    assert said.getvalue() == "3 secrets sealed with the newest key\n"

    settings.MAIL_SECRET_KEYS = [new]
    for account in (world.acme, world.other):
        with tenancy.acting_for(account.pk):
            for mailbox in Mailbox.objects.all():
                opened = secrets.unseal(bytes(mailbox.secret), account_id=account.pk)
                assert opened.reveal() == MAIL_PASSWORD
    settings.MAIL_SECRET_KEYS = [old]
    with tenancy.acting_for(world.acme.pk), pytest.raises(secrets.WrongKeyError):
        secrets.unseal(bytes(Mailbox.objects.all()[0].secret), account_id=world.acme.pk)
