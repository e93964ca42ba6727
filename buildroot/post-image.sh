#!/bin/sh
# Buildroot's post-image script: of the root and the kernel to disk.img and what releases are cut from (root.img, box.fit).
# $1 is the folder of images; TARGET_DIR, BASE_DIR, BUILD_DIR, BR2_CONFIG and the path to Buildroot's own tools are in the environment.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
images=$1

chosen() {
	sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1/p" "$BR2_CONFIG"
}

board=$here/../board/boards/$(chosen BR2_STREAMBOX_BOARD)
keys=$(chosen BR2_STREAMBOX_KEYS)

# genimage CONFIGURATION. An empty root: everything is in files that are there already.
assemble() {
	scratch=$BUILD_DIR/box-genimage
	rm -rf "$scratch"
	mkdir -p "$scratch/root"
	genimage --rootpath "$scratch/root" --tmppath "$scratch/tmp" \
		--inputpath "$images" --outputpath "$images" --config "$1"
}

# What the boot loader is read from, where that is a file system.
if [ -e "$board/boot.genimage" ]; then
	assemble "$board/boot.genimage"
fi
set -- --board "$board" --keys "${keys:-$BASE_DIR/keys}"
box-image slot "$@" --into "$images" --sources "$here" --target "$TARGET_DIR" \
	--version "$("$here/version.sh" "$(chosen BR2_STREAMBOX_VERSION)")" \
	--security "$(chosen BR2_STREAMBOX_SECURITY)"

# QEMU hands U-Boot its device tree; on a board it is part of U-Boot (external.mk).
if [ "$(basename "$board")" = qemu-aarch64 ]; then
	box-image qemu "$@" --into "$images/u-boot.dtb" --boot-loader "$images/u-boot.bin"
fi

assemble "$images/genimage.cfg"
