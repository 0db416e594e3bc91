"""URLs of signing up a company."""

from django.urls import path

from plans import views

app_name = "signing_up"

urlpatterns = [
    path("", views.sign_up, name="form"),
    path("confirm/", views.confirm, name="confirm"),
]
