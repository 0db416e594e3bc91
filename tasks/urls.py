"""URLs of tasks."""

from tasks.views import detail, mail, pages

app_name = "tasks"
urlpatterns = [*pages.urls, *detail.urls, *mail.urls]
