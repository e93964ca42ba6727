#!/usr/bin/env python3
"""Fetches targets from a folder of releases with python-tuf's client, as TUF's authors wrote it.

    tuf_client.py FIRST_ROOT FOLDER STATE TARGET...

Serves FOLDER on a port of loopback, begins with the file FIRST_ROOT, or where STATE was left the last time, refreshes and
downloads each target. Prints one JSON object: {"root": VERSION, "targets": {NAME: LENGTH}} or {"refused": WHY}.
"""

import functools
import http.server
import json
import os
import sys
import threading

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient import Updater


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def main() -> None:
    first_root, folder, state, *names = sys.argv[1:]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    metadata, downloads = os.path.join(state, "metadata"), os.path.join(state, "targets")
    os.makedirs(metadata, exist_ok=True)
    os.makedirs(downloads, exist_ok=True)
    # A client that has been here goes on from what it kept.
    bootstrap = None
    if not os.path.exists(os.path.join(metadata, "root.json")):
        with open(first_root, "rb") as file:
            bootstrap = file.read()
    try:
        updater = Updater(metadata, f"{base}/metadata/", downloads, f"{base}/targets/", bootstrap=bootstrap)
        updater.refresh()
        targets = {}
        for name in names:
            info = updater.get_targetinfo(name)
            if info is None:
                print(json.dumps({"refused": f"{name} is not listed"}))
                return
            with open(updater.download_target(info), "rb") as file:
                targets[name] = len(file.read())
        with open(os.path.join(metadata, "root.json"), "rb") as file:
            root = json.load(file)["signed"]["version"]
        print(json.dumps({"root": root, "targets": targets}))
    except (RepositoryError, DownloadError) as error:
        print(json.dumps({"refused": f"{type(error).__name__}: {error}"}))


main()
