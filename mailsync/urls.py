"""URLs of mail."""

from mailsync.views import acting, checking, connecting, images, live, reading

app_name = "mail"
urlpatterns = [*reading.urls, *acting.urls, *connecting.urls, *checking.urls, *images.urls, *live.urls]
