"""URLs of mail."""

from mailsync.views import acting, checking, connecting, folders, images, live, reading

app_name = "mail"
urlpatterns = [
    *reading.urls,
    *acting.urls,
    *connecting.urls,
    *checking.urls,
    *folders.urls,
    *images.urls,
    *live.urls,
]
