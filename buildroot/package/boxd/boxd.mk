################################################################################
#
# boxd
#
################################################################################

BOXD_VERSION = local
BOXD_SITE = $(BR2_EXTERNAL_STREAMBOX_PATH)/..
BOXD_SITE_METHOD = local
BOXD_LICENSE = MIT or Apache-2.0
BOXD_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = $(STREAMBOX_EXCLUSIONS)

ifeq ($(BR2_PACKAGE_BOXD_SOURCE),y)
BOXD_DEPENDENCIES += host-rustc

# The profile is the one in Cargo.toml that the tests run, not what
# pkg-cargo makes of the optimisation of the C packages.
define BOXD_BUILD_CMDS
	cd $(@D) && $(TARGET_MAKE_ENV) $(TARGET_CONFIGURE_OPTS) \
		$(filter-out CARGO_PROFILE_%,$(PKG_CARGO_ENV)) \
		SOURCE_DATE_EPOCH=$(BOXD_EPOCH) \
		CARGO_TARGET_$(call UPPERCASE,$(RUSTC_TARGET_NAME))_RUSTFLAGS="$(BOXD_RUSTFLAGS)" \
		cargo build $(STREAMBOX_CARGO_OPTS) \
			--package boxd --profile firmware
endef

# When the sources last changed; without git, when Buildroot's did.
BOXD_EPOCH = $(or $(shell git -C $(BOXD_SITE) log -1 --format=%ct -- \
	firmware board Cargo.lock Cargo.toml 2>/dev/null),$(SOURCE_DATE_EPOCH))
BOXD_RUSTFLAGS = -C target-feature=+crt-static \
	$(addprefix -C target-cpu=,$(call qstrip,$(BR2_GCC_TARGET_CPU)))
BOXD_PROGRAM = $(@D)/target/$(RUSTC_TARGET_NAME)/firmware/boxd
else
BOXD_PROGRAM = $(call qstrip,$(BR2_PACKAGE_BOXD_FILE))
endif

define BOXD_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(BOXD_PROGRAM) $(TARGET_DIR)/bin/boxd
endef

$(eval $(generic-package))
