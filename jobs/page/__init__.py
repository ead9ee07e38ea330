"""HTML pages: one for each load, and an index of all loads.

Each page is one HTML file without any external request: it can be opened from a disk, printed, and
read in light and dark. It shows only what the report holds, so no personal data.
"""

from jobs.page.index_page import render_index
from jobs.page.load_page import render_load

__all__ = ["render_index", "render_load"]
