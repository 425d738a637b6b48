#!/bin/sh
# Makes Debian and RPM packages in dist/ of what `make all` has built.
#
# ARCHS    amd64 arm64
# VERSION  as git describe says it
set -eu

cd "$(dirname "$0")/.."
GO=${GO:-go}
NFPM=${NFPM:-}
ARCHS=${ARCHS:-amd64 arm64}
LDFLAGS=${LDFLAGS:-}
[ -n "$NFPM" ] || { echo "packages.sh: run make packages" >&2; exit 2; }

# v1.2.3-4-gabc -> 1.2.3+4.gabc; no tag yet -> 0.0.0+gabc. Both kinds of package
# forbid a dash in a version.
VERSION=$(printf '%s' "${VERSION:-unknown}" | sed -e 's/^v//' -e '/^[0-9]*\./!s/^/0.0.0-g/' -e 's/-rc/~rc/' -e 's/-/+/' -e 's/-/./g')
export VERSION

# The same source gives the same packages.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p dist
for ARCH in $ARCHS; do
	export ARCH
	stage=$work/$ARCH
	mkdir -p "$stage"
	GOOS=linux GOARCH=$ARCH CGO_ENABLED=0 "$GO" build -trimpath -pgo="$PROFILE" -ldflags "$LDFLAGS" -o "$stage/postmoat" ./cmd/postmoat
	DESTDIR=$stage/root PREFIX=/usr SYSCONFDIR=/etc BINARY=$stage/postmoat INIT=systemd contrib/install.sh install
	find "$stage/root/usr/share/man" -type f -exec gzip -9n {} +
	mv "$stage/root/etc" "$stage/etc"
	cp -R contrib/nfpm "$stage/scripts"
	chmod 755 "$stage"/scripts/*
	cp contrib/nfpm/copyright "$stage/copyright"
	for kind in deb rpm; do
		(cd "$stage" && GOFLAGS=-mod=mod "$GO" run "$NFPM" package --config "$OLDPWD/contrib/nfpm.yaml" --packager "$kind" --target "$OLDPWD/dist/")
	done
done
