"""URLs of mail."""

from mailsync.views import acting, connecting, images, live, reading

app_name = "mail"
urlpatterns = [*reading.urls, *acting.urls, *connecting.urls, *images.urls, *live.urls]
