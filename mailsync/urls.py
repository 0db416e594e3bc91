"""URLs of mail."""

from mailsync.views import (
    acting,
    checking,
    composing,
    connecting,
    consenting,
    folders,
    health,
    images,
    letter_files,
    live,
    mailboxes,
    outgoing,
    parking,
    people,
    reading,
    sharing,
    tagging,
    team,
)

app_name = "mail"
urlpatterns = [
    *composing.urls,
    *letter_files.urls,
    *outgoing.urls,
    *people.urls,
    *reading.urls,
    *acting.urls,
    *consenting.urls,
    *connecting.urls,
    *checking.urls,
    *folders.urls,
    *health.urls,
    *images.urls,
    *live.urls,
    *mailboxes.urls,
    *parking.urls,
    *sharing.urls,
    *tagging.urls,
    *team.urls,
]
