"""URLs of people."""

from django.urls import path

from accounts import company_views, views

app_name = "people"

urlpatterns = [
    path("settings/", views.settings, name="settings"),
    path("settings/company/", company_views.company, name="company"),
    path("people/", views.employees, name="employees"),
    path("people/add/", views.add, name="add"),
    path("people/<int:employee_id>/role/", views.change_role, name="change-role"),
    path("people/<int:employee_id>/password/", views.renew_password, name="renew-password"),
    path("people/<int:employee_id>/deactivate/", views.deactivate, name="deactivate"),
    path("people/<int:employee_id>/reactivate/", views.reactivate, name="reactivate"),
    path("audit/", views.audit, name="audit"),
]
