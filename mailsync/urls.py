"""URLs of mail."""

urlpatterns: list = []
