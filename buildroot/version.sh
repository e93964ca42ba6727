#!/bin/sh
# version.sh [WORD]: prints what the image calls itself, WORD or else the version of the sources.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
if [ -n "${1-}" ]; then
	echo "$1"
else
	sed -n '/^\[workspace.package\]/,/^\[/ s/^version = "\(.*\)"$/\1/p' "$here/../Cargo.toml"
fi
