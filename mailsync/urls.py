"""URLs of mail."""

from mailsync.views import acting, reading

app_name = "mail"
urlpatterns = [*reading.urls, *acting.urls]
