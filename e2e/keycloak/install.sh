#!/usr/bin/env bash
# Puts the Keycloak of "pin" into a directory, ready to start:
#
#   install.sh [DIRECTORY]      default: $XDG_CACHE_HOME/doorward-ci, or ~/.cache/doorward-ci
#
# The distribution comes from wherever this machine's Maven takes its artefacts, and is used
# only if its checksum is the pinned one. "kc.sh build" once, here, saves it at every start.
# What is there already is left alone.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/pin"
: "${version:?} ${sha256:?}"
tools=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/doorward-ci}
home="$tools/keycloak-$version"

# The last thing that is written, so that half an installation never counts as one.
built="$home/built-from"
if [[ -f $built && $(<"$built") == "$sha256" ]]; then
	echo "keycloak $version is in $home"
	exit
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mvn -B -q org.apache.maven.plugins:maven-dependency-plugin:2.8:copy \
	-Dartifact="org.keycloak:keycloak-quarkus-dist:$version:zip" -DoutputDirectory="$scratch"
zip="$scratch/keycloak-quarkus-dist-$version.zip"
echo "$sha256  $zip" | sha256sum --check --quiet

rm -rf "$home"
mkdir -p "$tools"
unzip -q "$zip" -d "$scratch"
mv "$scratch/keycloak-$version" "$home"
# All that is fixed at build time; addresses and the realm come with each start.
"$home/bin/kc.sh" build --db=dev-mem
echo "$sha256" >"$built"
echo "keycloak $version is in $home"
