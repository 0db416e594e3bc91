"""URLs of the admins' pages of mailboxes."""

from overview.views import doing, emergencies, enrolling, mailboxes

app_name = "overview"
urlpatterns = [*mailboxes.urls, *doing.urls, *enrolling.urls, *emergencies.urls]
