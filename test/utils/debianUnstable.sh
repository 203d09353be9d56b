# Packages of Debian's unstable suite, from the archive that this machine uses, unpacked into a folder of their own. The system stays as
# it is. Sourced by other scripts, which say in `unavailable WHY` what happens where the packages are not to be had.

# unpack FOLDER PATTERN PACKAGE...: of all packages that installing these would take, unpacks those whose names match a pattern of sed.
# The folder appears when it is complete. A second call does nothing.
unpack() {
  local folder=$1 pattern=$2
  shift 2
  [[ -d $folder ]] && return
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  command -v apt-get >/dev/null && [[ -r $keyring ]] || unavailable "this is not a Debian system"
  local archive new wanted
  archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m 1 '/debian/$') ||
    unavailable "apt-get has no Debian archive"
  mkdir -p "${folder%/*}"
  new=$(mktemp -d "$folder.XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$new'" EXIT
  mkdir -p "$new"/{state/lists/partial,cache/archives/partial,sources,debs,unpacked}
  touch "$new/state/status"
  printf 'Types: deb\nURIs: %s\nSuites: sid\nComponents: main\nSigned-By: %s\n' "$archive" "$keyring" >"$new/sources/sid.sources"
  # Without the pins of the system, and with no package installed.
  apt() {
    apt-get -qq -o APT::Sandbox::User=root -o Dir::State="$new/state" \
      -o Dir::State::status="$new/state/status" -o Dir::Cache="$new/cache" -o Dir::Etc::sourcelist=/dev/null \
      -o Dir::Etc::sourceparts="$new/sources" -o Dir::Etc::preferencesparts=/dev/null "$@"
  }
  apt update >&2 || unavailable "apt-get update failed"
  wanted=$(apt install --no-install-recommends --print-uris "$@" | sed -nE "s/^'[^']*' ($pattern)_.*/\1/p") && [[ -n $wanted ]] ||
    unavailable "the archive does not have $*"
  # shellcheck disable=SC2086
  (cd "$new/debs" && apt download $wanted >&2) || unavailable "apt-get download failed"
  for deb in "$new"/debs/*.deb; do dpkg-deb -x "$deb" "$new/unpacked"; done
  # Another run may have been faster.
  mv -T "$new/unpacked" "$folder" 2>/dev/null || [[ -d $folder ]]
  rm -rf "$new"
  trap - EXIT
}
