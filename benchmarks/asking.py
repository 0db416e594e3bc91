"""What gunicorn runs for pages.py: the product, asked as its own script asks.

The rig's client can send neither the header HX-Request nor a form field twice: this adds the header wherever our
script does, and takes the list of ids apart.
"""

import io
import re
from typing import Any
from urllib.parse import parse_qs, urlencode

from config.wsgi import application as product

_WHOLE_SCREEN = re.compile(r"/mail/\d+/")


def application(environ: dict[str, Any], start_response: Any) -> Any:
    path = environ["PATH_INFO"]
    if path.startswith("/mail/") and not _WHOLE_SCREEN.fullmatch(path):
        environ["HTTP_HX_REQUEST"] = "true"
    if path == "/mail/act/":
        form = parse_qs(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode())
        form["ids"] = [number for text in form["ids"] for number in text.split(",")]
        body = urlencode(form, doseq=True).encode()
        environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    return product(environ, start_response)
