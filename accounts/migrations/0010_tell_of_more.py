"""Tell people of passwords that are wanted, of what they inherit, and of an export of their mail."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0009_give_each_company_a_language'),
    ]

    operations = [
        migrations.AlterField(
            model_name='personalnotice',
            name='kind',
            field=models.CharField(choices=[('two_factor_reset', 'Two Factor Reset'), ('deletion_planned', 'Deletion Planned'), ('deletion_called_off', 'Deletion Called Off'), ('mail_exported', 'Mail Exported'), ('password_wanted', 'Password Wanted'), ('inherited', 'Inherited')], max_length=30),
        ),
    ]
