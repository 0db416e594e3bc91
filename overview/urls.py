"""URLs of the admins' pages of mailboxes."""

from overview.views import mailboxes

app_name = "overview"
urlpatterns = [*mailboxes.urls]
