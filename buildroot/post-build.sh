#!/bin/sh
# Buildroot's post-build script: leaves of the root what overlay/ calls, and says which system and which board it is.
# $1 is the root; TARGET_DIR and BR2_CONFIG are in the environment.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
target=$1

# The value of a text in Buildroot's configuration.
chosen() {
	sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1/p" "$BR2_CONFIG"
}

# Buildroot's own start-up scripts and accounts: overlay/ has the box's, which know no password and no getty.
find "$target/etc/init.d" -type f ! -name rcS ! -name rcK -delete
for gone in fstab inputrc issue mke2fs.conf.old network nsswitch.conf profile profile.d protocols services shells; do
	rm -rf "${target:?}/etc/$gone"
done
# Not taken away: the next `make` in the same folder writes root's line again.
echo 'root:*:::::::' >"$target/etc/shadow"
chmod 600 "$target/etc/shadow"
for gone in media mnt opt var usr/share; do
	rm -rf "${target:?}/$gone"
done
# Of the programs in packages, those that data and initramfs need.
find "$target/sbin" "$target/usr/sbin" "$target/usr/bin" -type f \
	! -name busybox ! -name boxd ! -name dmsetup \
	! -name debugfs ! -name e2fsck ! -name mke2fs -delete
find "$target/sbin" "$target/usr/sbin" "$target/usr/bin" "$target/bin" -xtype l -delete

board=$(chosen BR2_STREAMBOX_BOARD)
install -D -m 0644 "$here/../board/boards/$board/board.toml" "$target/etc/streambox/board.toml"
"$here/version.sh" "$(chosen BR2_STREAMBOX_VERSION)" >"$target/etc/streambox/version"
