"""python-tuf as a judge of metadata: one case a line on standard input, one verdict a line on standard output.

A case is {"now": seconds since 1970, "root": text, "kept": {"timestamp.json": text, ...}, "files": {path: text}} with all
texts in base64; a verdict {"targets": {name: [length, hashes]}}, or {"refused": why}.
"""

import base64
import datetime
import json
import os
import sys
import tempfile
from collections.abc import Iterator

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

# The same limits as in `update::tuf`, so that none of them makes a difference.
CONFIG = UpdaterConfig(
    max_root_rotations=256,
    root_max_length=512 * 1024,
    timestamp_max_length=16 * 1024,
    snapshot_max_length=2 * 1024 * 1024,
    targets_max_length=5 * 1024 * 1024,
)
HOME = "http://repository/"


class Files(FetcherInterface):
    """A server whose files are in memory."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def _fetch(self, url: str) -> Iterator[bytes]:
        text = self.files.get(url.removeprefix(HOME))
        if text is None:
            raise DownloadHTTPError(f"{url} is not there", 404)
        yield base64.b64decode(text)


def judge(case: dict, folder: str) -> dict:
    for name, text in case["kept"].items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(base64.b64decode(text))
    try:
        updater = Updater(
            folder, HOME, fetcher=Files(case["files"]), config=CONFIG, bootstrap=base64.b64decode(case["root"])
        )
        now = datetime.datetime.fromtimestamp(case["now"], datetime.timezone.utc)
        updater._trusted_set.reference_time = now
        updater.refresh()
    except Exception as error:  # whatever it stumbles over, it has not accepted
        return {"refused": f"{type(error).__name__}: {error}"}
    targets = updater._trusted_set.targets.targets
    return {"targets": {name: [file.length, file.hashes] for name, file in targets.items()}}


for line in sys.stdin:
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(judge(json.loads(line), folder)), flush=True)
