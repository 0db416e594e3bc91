"""The page that a mail's HTML becomes in its sandboxed frame, and the policy that page is served under."""

_PAGE = """\
<!doctype html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light">
<meta name="referrer" content="no-referrer">
<style>
body {{ margin: 0; padding: 16px; overflow-wrap: break-word; background: white; color: #1c1c1e;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }}
img {{ max-width: 100%; }}
img[width][height]:not([src^="data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP"]) {{ height: auto; }}
blockquote {{ margin: 8px 0; padding-inline-start: 12px; border-inline-start: 2px solid #d0d3da; }}
pre {{ white-space: pre-wrap; }}
table {{ border-spacing: 0; }}
/* Letters are laid out 600 pixels wide; on a phone they give way instead of being cut off. */
@media (max-width: 620px) {{
  body {{ padding: 12px; }}
  table, tbody, tr, td, div, p {{ max-width: 100% !important; min-width: 0 !important; box-sizing: border-box; }}
  table[width], td[width] {{ width: auto !important; }}
  table[width="100%"], table[style*="width"] {{ width: 100% !important; }}
  img {{ height: auto !important; }}
}}
</style>
</head>
<body dir="auto">
{body}
</body>
</html>
"""


def document(cleaned_html: str) -> str:
    """A whole page around what mime.sanitize.clean gave. Mail is written for white paper, so it is shown on it."""
    return _PAGE.format(body=cleaned_html)


def policy(image_origin: str = "") -> str:
    """Content-Security-Policy of that page: nothing but inline style and images of ours.

    The page has an opaque origin (sandbox), yet 'self' still means the server that sent it; `image_origin`
    is for an installation that serves images from another one.
    """
    images = f"img-src 'self' data: {image_origin}".rstrip()
    return (
        f"default-src 'none'; script-src 'none'; style-src 'unsafe-inline'; {images}; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
    )


def headers(image_origin: str = "") -> dict[str, str]:
    """All headers that page needs."""
    return {
        "Content-Security-Policy": policy(image_origin),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        # Chromium looks up the names in links ahead of a click, which tells a sender that the mail was opened.
        "X-DNS-Prefetch-Control": "off",
    }
