"""The HTTP edge's plumbing: one style for every endpoint (shared/design/API.md). Flask lives here and in edges only."""

from retail.kernel.web.api import PUBLIC, ApiBlueprint, Call
from retail.kernel.web.cursor import Page, decode_cursor, encode_cursor

__all__ = ["PUBLIC", "ApiBlueprint", "Call", "Page", "decode_cursor", "encode_cursor"]
