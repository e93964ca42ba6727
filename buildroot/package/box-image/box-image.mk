################################################################################
#
# box-image
#
################################################################################

# What makes of a root and a kernel what a box boots from. The image
# of the tests is made by the same code.
BOX_IMAGE_VERSION = local
BOX_IMAGE_SITE = $(BR2_EXTERNAL_STREAMBOX_PATH)/..
BOX_IMAGE_SITE_METHOD = local
BOX_IMAGE_LICENSE = MIT or Apache-2.0
HOST_BOX_IMAGE_DEPENDENCIES = \
	host-rustc \
	host-cryptsetup \
	host-dtc \
	host-genimage \
	host-openssl \
	host-squashfs \
	host-uboot-tools
HOST_BOX_IMAGE_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = $(STREAMBOX_EXCLUSIONS)

define HOST_BOX_IMAGE_BUILD_CMDS
	cd $(@D) && $(HOST_MAKE_ENV) $(HOST_CONFIGURE_OPTS) \
		$(HOST_PKG_CARGO_ENV) \
		cargo build $(STREAMBOX_CARGO_OPTS) --package imaging
endef

define HOST_BOX_IMAGE_INSTALL_CMDS
	$(INSTALL) -D -m 0755 $(@D)/target/debug/box-image \
		$(HOST_DIR)/bin/box-image
endef

$(eval $(host-generic-package))
