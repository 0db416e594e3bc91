"""URLs of people."""

from django.urls import path

from accounts import company_views, department_views, invitation_views, people_views, views

app_name = "people"

urlpatterns = [
    path("settings/", views.settings, name="settings"),
    path("settings/company/", company_views.company, name="company"),
    path("people/", people_views.employees, name="employees"),
    path("people/move/", people_views.move, name="move"),
    path("people/<int:employee_id>/", people_views.person, name="person"),
    path("people/<int:employee_id>/password/", people_views.renew_password, name="renew-password"),
    path("people/<int:employee_id>/deactivate/", people_views.deactivate, name="deactivate"),
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
    path("audit/", views.audit, name="audit"),
]
