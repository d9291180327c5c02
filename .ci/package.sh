#!/usr/bin/env bash
# Makes the Debian packages and the relocatable archive, and proves them in a fresh root: install, run, train, remove.
# Usage: .ci/package.sh [BUILD]; default: build-package. The packages stay in BUILD/packages. Needs root for the fresh root
# (debootstrap, from DEBIAN_MIRROR); TERCET_ROOT names a debootstrap root to start from in place of a new one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
. .ci/setup.sh

folder=${1:-build-package}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
scratch=$(mktemp -d)
root=$scratch/root
mounted=false
leave() {
  if $mounted; then umount "$root/proc"; fi
  rm -rf --one-file-system "$scratch"
}
trap leave EXIT
require_packages "${BUILD_PACKAGES[@]}" debootstrap lintian dpkg-dev file

make_packages() {
  local options=(-DCMAKE_BUILD_TYPE=Release -DTERCET_TESTS=OFF)
  rm -rf "$folder/packages"
  configure "$folder" "${options[@]}" -DCMAKE_INSTALL_PREFIX=/opt/tercet -DCMAKE_INSTALL_LIBDIR=lib
  build "$folder"
  (cd "$folder" && cpack -G TGZ -B packages >package.log) || { cat "$folder/package.log"; die "cpack -G TGZ"; }
  configure "$folder" "${options[@]}" -DCMAKE_INSTALL_PREFIX=/usr \
    -DCMAKE_INSTALL_LIBDIR="lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)"
  build "$folder"
  (cd "$folder" && cpack -G DEB -B packages >package.log 2>&1) || { cat "$folder/package.log"; die "cpack -G DEB"; }
}

# A root as a user's machine has it: Debian, and nothing of ours.
make_root() {
  if [ -n "${TERCET_ROOT-}" ]; then
    cp -a "$TERCET_ROOT" "$root"
  else
    debootstrap --variant=minbase bookworm "$root" "$mirror" >"$scratch/debootstrap.log" 2>&1 ||
      { tail "$scratch/debootstrap.log"; die "debootstrap of $mirror"; }
  fi
  # Documentation is part of what is tested; services are not to be started from a package.
  rm -f "$root/etc/dpkg/dpkg.cfg.d/docker"
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod +x "$root/usr/sbin/policy-rc.d"
  # The dynamic linker asks /proc where a program lies.
  mount -t proc proc "$root/proc"
  mounted=true
}

inside() {
  chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    DEBIAN_FRONTEND=noninteractive TERM=dumb "$@"
}

# All files but those that dpkg, apt and ldconfig keep of their own.
files_of_root() {
  (cd "$root" && find . -path ./proc -prune -o -path ./var/lib/dpkg -prune -o -path ./var/lib/apt -prune -o \
    -path ./var/cache -prune -o -path ./var/log -prune -o -path ./etc/ld.so.cache -prune -o -path ./tmp -prune -o -print |
    sort)
}

# trains COMMAND…: the command runs inside, sees a CPU, and trains the job on data that it draws itself.
trains() {
  local command=("$@")
  inside "${command[@]}" --version | grep -qx "tercet $version" || die "$*: not version $version"
  inside "${command[@]}" devices | grep -q '^cpu  *1' || die "$*: no CPU device"
  inside "${command[@]}" train /tmp/glyphs.yaml -q --epochs 2 --set data.samples=6000 --set data.test.samples=500 \
    --save /tmp/glyphs.safetensors | tee "$scratch/trained"
  grep -q 'test:  *loss .*accuracy 0\.[5-9]' "$scratch/trained" || die "$*: the network did not learn"
}

step() { say "[$SECONDS s] $*"; }

step "packages"
make_packages
version=$(sed -n 's/^CMAKE_PROJECT_VERSION:STATIC=//p' "$folder/CMakeCache.txt")
ls -l "$folder"/packages/*.deb "$folder"/packages/*.tar.gz

step "lintian"
# The project has no mail address, its first upload closes no bug of Debian's, and cpack writes a postinst beside the
# trigger.
lintian --allow-root --fail-on error,warning --suppress-tags \
  bogus-mail-host,bogus-mail-host-in-debian-changelog,initial-upload-closes-no-bugs,maintscript-calls-ldconfig \
  "$folder"/packages/*.deb

step "a fresh root"
make_root
files_of_root >"$scratch/before-libraries"

step "the archive, in a folder that nobody foresaw"
inside apt-get update -qq
inside apt-get install -y -qq --no-install-recommends libopenblas0 libyaml-0-2 libjansson4 zlib1g >"$scratch/apt.log" 2>&1 ||
  { cat "$scratch/apt.log"; die "apt-get in the fresh root"; }
cp examples/glyphs.yaml "$root/tmp/"
mkdir -p "$root/srv/some folder"
tar -xzf "$folder"/packages/*.tar.gz -C "$root/srv/some folder" --strip-components 1
trains "/srv/some folder/bin/tercet"
rm -r "$root/srv/some folder"

step "the packages: install, run, remove"
files_of_root >"$scratch/before"
mkdir "$root/tmp/packages"
cp "$folder"/packages/*.deb "$root/tmp/packages/"
inside sh -c 'apt-get install -y -qq --no-install-recommends /tmp/packages/*.deb' >"$scratch/apt.log" 2>&1 ||
  { cat "$scratch/apt.log"; die "the packages do not install"; }
inside dpkg -s tercet libtercet0 libtercet-dev | grep -E '^(Package|Depends):'
trains tercet
inside sh -c 'apt-get purge -y -qq tercet libtercet0 libtercet-dev' >"$scratch/apt.log" 2>&1 ||
  { cat "$scratch/apt.log"; die "the packages do not purge"; }
files_of_root >"$scratch/after"
diff "$scratch/before" "$scratch/after" || die "the files above came or went"
step "packages made, installed, run and removed"
