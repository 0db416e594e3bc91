"""URLs of people."""

from django.urls import path

from accounts import (
    audit_views,
    company_views,
    department_views,
    invitation_views,
    people_views,
    security_views,
    views,
)

app_name = "people"

urlpatterns = [
    path("settings/", views.settings, name="settings"),
    path("settings/company/", company_views.company, name="company"),
    path("settings/company/delete/", company_views.delete, name="delete-company"),
    path("settings/company/keep/", company_views.keep, name="keep-company"),
    path("people/", people_views.employees, name="employees"),
    path("people/move/", people_views.move, name="move"),
    path("people/<int:employee_id>/", people_views.person, name="person"),
    path("people/<int:employee_id>/password/", people_views.renew_password, name="renew-password"),
    path("people/<int:employee_id>/reactivate/", people_views.reactivate, name="reactivate"),
    path("people/invitations/", invitation_views.invite, name="invite"),
    path("people/invitations/<int:invitation_id>/again/", invitation_views.send_again, name="invite-again"),
    path(
        "people/invitations/<int:invitation_id>/withdraw/", invitation_views.withdraw, name="invite-withdraw"
    ),
    path("people/departments/", department_views.page, name="departments"),
    path("people/departments/<int:department_id>/name/", department_views.rename, name="department-rename"),
    path("people/departments/<int:department_id>/delete/", department_views.delete, name="department-delete"),
    path("join/", invitation_views.join, name="join"),
    path(
        "people/<int:employee_id>/two-factor/reset/",
        security_views.reset_two_factor,
        name="reset-two-factor",
    ),
    path("settings/sessions/<int:session_id>/end/", security_views.end_session, name="end-session"),
    path("settings/sessions/end-others/", security_views.end_others, name="end-other-sessions"),
    path("settings/notices/", security_views.told, name="notices"),
    path("settings/notices/<int:own_notice_id>/seen/", security_views.see, name="see-notice"),
    path("audit/", audit_views.page, name="audit"),
    path("audit/export/", audit_views.export, name="audit-export"),
]
