# SPDX-License-Identifier: MIT
#
# Debian's packages of this tree, for the release that this machine runs.

DEB_PACKAGES	:= debhelper dpkg-dev fakeroot libfuse3-dev libnl-genl-3-dev \
		   libsmartcols-dev liburing-dev lintian pkg-config python3 \
		   python3-docutils

# dh_dkms was part of dkms before Debian 12.
DEB_PACKAGES	+= $(if $(filter 11,$(shell . /etc/os-release; echo $$VERSION_ID)),\
			dkms,dh-dkms)

## deb           packages for this machine's Debian release, in build/deb
.PHONY: deb
deb:
	@tests/vm/setup --only gcc make $(DEB_PACKAGES)
	mk/deb build/deb
	lintian --fail-on error build/deb/*.deb
	@ls build/deb/*.deb
