"""Fetch a file once, over https, and believe it only with the checksum that was pinned."""

from __future__ import annotations

import http.client
import urllib.request
from pathlib import Path
from typing import Any

from edgeshrink.api import EdgeshrinkError, cache_folder, make_ours, write_part
from edgeshrink_benchtool.checksum import sha256

# The tool with all delegates linked in has some 10 MB; with debug symbols ten times that.
MOST_BYTES = 256 << 20
LONGEST_WAIT_SECONDS = 60.0


def cache() -> Path:
    """Return the user's folder for downloads."""
    return cache_folder("benchmark_model")


def download(url: str, pinned: str) -> Path:
    """Return the file with this checksum, from the cache or from `url`.

    Raises:
        EdgeshrinkError: there is no answer, too large a one, or another file.
    """
    path = cache() / pinned
    if path.is_file() and sha256(path) == pinned:
        return path
    make_ours(cache())
    with write_part(path) as part:
        with part.open("wb") as stream:
            _fetch(url, stream)
        received = sha256(part)
        if received != pinned:
            raise EdgeshrinkError(
                f"{url} is another file than was pinned: SHA-256 {pinned} was expected, "
                f"{received} came; it was deleted"
            )
    return path


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        """Refuse to be sent away from https."""
        if not newurl.startswith("https://"):
            raise EdgeshrinkError(f"{req.full_url} leads to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _fetch(url: str, stream: Any) -> None:
    count = 0
    try:
        opener = urllib.request.build_opener(_OnlyHttps)
        with opener.open(url, timeout=LONGEST_WAIT_SECONDS) as answer:
            while block := answer.read(1 << 20):
                count += len(block)
                if count > MOST_BYTES:
                    raise EdgeshrinkError(f"{url} has more than {MOST_BYTES:,} bytes")
                stream.write(block)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise EdgeshrinkError(f"{url} cannot be downloaded: {error}") from error
