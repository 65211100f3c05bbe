# SPDX-License-Identifier: MIT
#
# packages.sh: for cases about Debian's packages, which are in /bdus/packages. Nothing
# of the build that other cases use is seen any more, and the module is not loaded.

. "$BDUS_TESTS/lib/case.sh"

[[ -d /bdus/packages ]] || skip "no packages for this kernel"
rmmod kbdus
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
unset LD_LIBRARY_PATH BDUS_PROTOCOL BDUS_BACKEND

# DKMS builds for all kernels whose headers are there; a machine has but one here.
find /lib/modules -mindepth 2 -maxdepth 2 -name build ! -path "*/$(uname -r)/*" -delete

# DKMS has modules compiled with what is there, as a compiler is slow here.
cp -r /bdus/packages/ccache ccache
export DEBIAN_KERNEL_USE_CCACHE=1 CCACHE_COMPILERCHECK=content
export CCACHE_DIR=$PWD/ccache

mkdir -p /var/lib/apt/lists/partial /var/cache/apt/archives/partial
names="bdus bdus-dkms libbdus0 libbdus-dev"

# install_packages this|next: all packages of this version, or of one that is higher.
install_packages() {
	apt-get install --yes --no-install-recommends /bdus/packages/"$1"/*.deb
}

# version_of this|next
version_of() {
	dpkg-deb -f /bdus/packages/"$1"/libbdus0_*.deb Version
}

purge_packages() {
	apt-get purge --yes $names
}

# The module that would be loaded now.
installed_module() {
	modinfo -n kbdus
}

# all_files: what is on the root file system but for what keeps records.
all_files() {
	find / -xdev \( -path /tmp -o -path /var/lib/dpkg -o -path /var/lib/apt \
		-o -path /var/cache -o -path /var/log \) -prune -o -print | sort
}
