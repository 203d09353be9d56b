#!/bin/sh
# Installs kubelock and the Node.js that runs it into a folder that can be copied anywhere: install.sh PACKAGE FOLDER
# PACKAGE is what npm knows it by (kubelock@1.2.3), or the file of the package. It has no dependencies that must be installed.
set -eu
package=$1
folder=$2

unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
npm pack --silent --pack-destination "$unpacked" "$package" >/dev/null
tar -xzf "$unpacked"/*.tgz -C "$unpacked"

mkdir -p "$folder/bin" "$folder/lib/dist"
cp "$(node -p process.execPath)" "$folder/bin/node"
cp "$unpacked/package/package.json" "$unpacked/package/LICENSE" "$folder/lib/"
cp -R "$unpacked/package/dist/cli" "$folder/lib/dist/"

# For images that have a shell. Where there is none, the entry point of the image does the same.
cat >"$folder/bin/kubelock" <<'SCRIPT'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
exec "$here/node" "$here/../lib/dist/cli/kubelock.js" "$@"
SCRIPT
chmod 755 "$folder/bin/kubelock"
chmod -R a+rX,go-w "$folder"

"$folder/bin/kubelock" --version
