"""URLs of CRM."""

from crm.views import board, records

app_name = "crm"
urlpatterns = [
    *board.urls,
    *records.urls,
]
