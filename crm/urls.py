"""URLs of CRM."""

from crm.views import (
    board,
    deciding,
    feeding,
    importing,
    merging,
    panel,
    pipelines,
    records,
    templates,
    timeline,
    writing,
)

app_name = "crm"
urlpatterns = [
    *board.urls,
    *feeding.urls,
    *importing.urls,
    *pipelines.urls,
    *records.urls,
    *templates.urls,
    *timeline.urls,
    *merging.urls,
    *panel.urls,
    *deciding.urls,
    *writing.urls,
]
