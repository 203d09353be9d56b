#!/usr/bin/env bash
# effect 4.1.0: its own declarations do not check for a Node program without the DOM library.
#
# A program for Node that sets "lib": ["ES2023"], has @types/node, and checks its dependencies' declarations
# ("skipLibCheck": false) fails on declarations of effect that name types of the DOM, although it uses none of them. With "DOM" in
# "lib" it passes. Most projects never see this, since "skipLibCheck": true hides it.
#
# Seen (typescript 5.9.3, @types/node 24): with "lib": ["ES2024"]
#   node_modules/effect/dist/crypto/Aead.d.ts(306,81): error TS2749: 'CryptoKey' refers to a value, but is being used as a type here.
#   node_modules/effect/dist/crypto/KeyFormat.d.ts(122,51): error TS2304: Cannot find name 'JsonWebKey'.
# and more of the kind; with "lib": ["ES2024", "DOM"] none.
# Fails if the first check passes, or the second does not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm pkg set type=module >/dev/null
npm install --silent --no-audit --no-fund effect@4.1.0 typescript@5.9.3 @types/node@24 >/dev/null

echo 'import { Effect } from "effect"
export const program = Effect.succeed(1)' >program.ts

check() {
  npx tsc --noEmit --strict --target ES2023 --module NodeNext --types node --lib "$1" --skipDefaultLibCheck program.ts
}

echo "lib ES2024:"
if check ES2024 >errors; then
  cat errors
  echo "no errors: effect no longer needs the DOM library"
  exit 1
fi
grep -o "node_modules/effect[^(]*([0-9,]*): error TS[0-9]*: .*" errors | head -5
echo "lib ES2024,DOM:"
check ES2024,DOM
echo "no errors"
