"""URLs of CRM."""

from crm.views import board, feeding, importing, merging, panel, records, timeline

app_name = "crm"
urlpatterns = [
    *board.urls,
    *feeding.urls,
    *importing.urls,
    *records.urls,
    *timeline.urls,
    *merging.urls,
    *panel.urls,
]
