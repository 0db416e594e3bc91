"""URLs of mail."""

from mailsync.views import (
    acting,
    checking,
    connecting,
    consenting,
    folders,
    health,
    images,
    live,
    parking,
    reading,
    tagging,
)

app_name = "mail"
urlpatterns = [
    *reading.urls,
    *acting.urls,
    *consenting.urls,
    *connecting.urls,
    *checking.urls,
    *folders.urls,
    *health.urls,
    *images.urls,
    *live.urls,
    *parking.urls,
    *tagging.urls,
]
