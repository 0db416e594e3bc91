"""URLs of retention: the clock on pages of mail, what leaves soon, and the admins' page of the purge."""

from django.urls import path

from retention.views import clock, exports, leavers, leaving, night

app_name = "retention"

urlpatterns = [
    path("", night.home, name="home"),
    path("preview/", night.foreseen, name="preview"),
    path("runs/<int:run_id>/", night.run, name="run"),
    path("runs/<int:run_id>/decide/", night.decide, name="decide"),
    path("leavers/<int:employee_id>/", leavers.page, name="leaver"),
    path("leavers/<int:employee_id>/progress/", leavers.progress, name="leaver-progress"),
    path("leavers/<int:employee_id>/back/", leavers.come_back, name="leaver-back"),
    path("leaving/", leaving.page, name="leaving"),
    path("leaving/keep/", leaving.keep, name="keep"),
    path("clock/<int:placement_id>/", clock.panel, name="clock"),
    path("exports/", exports.page, name="exports"),
    path("exports/start/", exports.start, name="export-start"),
    path("exports/<int:export_id>/cancel/", exports.cancel, name="export-cancel"),
    path("exports/<int:export_id>/file/", exports.download, name="export-download"),
    path("marks/", clock.marks, name="marks"),
]
