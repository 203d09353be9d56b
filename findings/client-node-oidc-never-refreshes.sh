#!/usr/bin/env bash
# @kubernetes/client-node 2.0.1 with openid-client 6.9.0
#
# A user of a kubeconfig with `auth-provider: oidc`, whose id-token has expired and who has a refresh-token, is refreshed by kubectl.
# client-node never gets so far: it gives openid-client 6 the issuer as a string, where that wants a URL. It is the same with and
# without a certificate authority of the issuer. No request is sent.
#
# Expected: a request to the issuer. (None listens here, so it would fail with "fetch failed".)
# Seen: "server" must be an instance of URL (ERR_INVALID_ARG_TYPE)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @kubernetes/client-node@2.0.1 openid-client@6.9.0 >/dev/null

cat >refresh.mjs <<'END'
import { KubeConfig } from "@kubernetes/client-node"
const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url")
const kubeConfig = new KubeConfig()
kubeConfig.loadFromString(JSON.stringify({
  clusters: [{ name: "c", cluster: { server: "https://kubernetes.invalid" } }],
  users: [{
    name: "u",
    user: {
      "auth-provider": {
        name: "oidc",
        config: {
          "idp-issuer-url": "https://127.0.0.1:1",
          "client-id": "c",
          "id-token": [part({ alg: "RS256" }), part({ exp: 1 }), "c2ln"].join("."),
          "refresh-token": "r"
        }
      }
    }
  }],
  contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
  "current-context": "x"
}))
console.log(await kubeConfig.applyToHTTPSOptions({ headers: {} }).then(() => "refreshed", ({ code, message }) => `${message} (${code})`))
END
seen=$(node refresh.mjs)
echo "$seen"
[ "$seen" = '"server" must be an instance of URL (ERR_INVALID_ARG_TYPE)' ]
