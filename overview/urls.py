"""URLs of the admins' pages of mailboxes."""

from overview.views import doing, emergencies, mailboxes

app_name = "overview"
urlpatterns = [*mailboxes.urls, *doing.urls, *emergencies.urls]
