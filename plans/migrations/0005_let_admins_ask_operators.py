"""What admins ask operators for. Global: operators of another company read it."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0009_give_each_company_a_language'),
        ('plans', '0004_name_the_rows'),
    ]

    operations = [
        migrations.CreateModel(
            name='PlanRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('plan', models.SlugField(max_length=40)),
                ('on', models.DateField()),
                ('asked_by', models.EmailField(max_length=254)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('answer', models.CharField(choices=[('open', 'Waits for an operator'), ('given', 'Given'), ('declined', 'Declined'), ('withdrawn', 'Withdrawn')], default='open', max_length=10)),
                ('answered_at', models.DateTimeField(null=True)),
                ('account', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.account')),
            ],
            options={
                'verbose_name': 'request for a plan',
                'verbose_name_plural': 'requests for plans',
                'indexes': [models.Index(fields=['account', '-at'], name='request_newest')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('answer', 'open')), fields=('account',), name='one_open_request'), models.CheckConstraint(condition=models.Q(models.Q(('answer', 'open'), ('answered_at', None)), models.Q(models.Q(('answer', 'open'), _negated=True), ('answered_at__isnull', False)), _connector='OR'), name='a_request_is_answered_once')],
            },
        ),
    ]
