"""URLs of retention: the clock on pages of mail, what leaves soon, and the admins' page of the purge."""

from django.urls import path

from retention.views import clock, leaving, night

app_name = "retention"

urlpatterns = [
    path("", night.home, name="home"),
    path("preview/", night.foreseen, name="preview"),
    path("runs/<int:run_id>/", night.run, name="run"),
    path("runs/<int:run_id>/decide/", night.decide, name="decide"),
    path("leaving/", leaving.page, name="leaving"),
    path("leaving/keep/", leaving.keep, name="keep"),
    path("clock/<int:placement_id>/", clock.panel, name="clock"),
    path("marks/", clock.marks, name="marks"),
]
