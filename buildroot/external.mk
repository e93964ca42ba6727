# What the packages here have in common.

STREAMBOX_EXCLUSIONS = \
	--exclude /target --exclude node_modules --exclude .git

# Crates come from VENDOR, which `cargo vendor --locked VENDOR` makes in
# a checkout and a release brings along.
STREAMBOX_CARGO_OPTS = --offline --locked --target-dir target \
	--config 'source.crates-io.replace-with="vendored"' \
	--config 'source.vendored.directory="VENDOR"'

include $(sort $(wildcard $(BR2_EXTERNAL_STREAMBOX_PATH)/package/*/*.mk))

# A board's U-Boot is built with the key that it trusts and the script that it runs in its device tree
# (CONFIG_DEVICE_TREE_INCLUDES="box-trust.dtsi" in the board's u-boot.fragment). QEMU hands U-Boot a device tree that has both.
ifneq ($(call qstrip,$(BR2_STREAMBOX_BOARD)),qemu-aarch64)
define STREAMBOX_UBOOT_TRUST
	$(HOST_MAKE_ENV) $(HOST_DIR)/bin/box-image include \
		--board $(BR2_EXTERNAL_STREAMBOX_PATH)/../board/boards/$(call qstrip,$(BR2_STREAMBOX_BOARD)) \
		--keys $(or $(call qstrip,$(BR2_STREAMBOX_KEYS)),$(BASE_DIR)/keys) \
		--into $(@D)/arch/arm/dts/box-trust.dtsi
endef
UBOOT_PRE_BUILD_HOOKS += STREAMBOX_UBOOT_TRUST
$(UBOOT_TARGET_BUILD): | host-box-image
endif
