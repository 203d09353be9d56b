#!/usr/bin/env bash
# etcdctl 3.4.23: `etcdctl lock NAME COMMAND` lets its command run on after it has lost the lock, beside the next holder, and exits
# with 0 if the command does.
#
# Without a command it is as one expects: it ends with an error when its session has expired. With one it only waits for the command.
# It does not look at the session while the command runs, nor at the end, when it has to find its key gone. So if the machine sleeps,
# or the server is not reached for longer than --ttl (10 s), a backup or a migration runs twice at a time, and neither says so.
#
# Seen, for an etcdctl that is stopped for longer than its TTL of 2 s, and continued:
#   a has the lock
#   b has the lock
#   a still works
#   exit code of a: 0
# Fails if the command of a is ended, or if etcdctl reports an error.
set -euo pipefail
for command in etcd etcdctl; do
  command -v $command >/dev/null || { echo "needs etcd and etcdctl (Debian: etcd-server, etcd-client)"; exit 1; }
done
folder=$(mktemp -d)
cd "$folder"
export ETCDCTL_API=3

# Any two ports, and others if one of them is taken.
for try in 1 2 3 4 5; do
  port=$((20000 + RANDOM % 10000))
  client="http://127.0.0.1:$port" peer="http://127.0.0.1:$((port + 1))"
  etcd --data-dir "data$try" --listen-client-urls "$client" --advertise-client-urls "$client" --listen-peer-urls "$peer" \
    --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer" >etcd.log 2>&1 &
  etcd=$!
  trap 'kill $etcd 2>/dev/null; rm -rf "$folder"' EXIT
  export ETCDCTL_ENDPOINTS="$client"
  while kill -0 $etcd 2>/dev/null && ! etcdctl endpoint health >/dev/null 2>&1; do sleep 0.2; done
  kill -0 $etcd 2>/dev/null && break
done

until_there() { until [ -e "$1" ]; do sleep 0.1; done; }
etcdctl lock --ttl 2 name -- sh -c '
  echo $PPID >etcdctl-of-a
  echo "a has the lock" >>seen
  until [ -e b-is-done ]; do sleep 0.1; done
  sleep 3
  echo "a still works" >>seen' &
a=$!
until_there etcdctl-of-a
until_there seen
kill -STOP "$(cat etcdctl-of-a)"
timeout 60 etcdctl lock --ttl 2 name -- sh -c 'echo "b has the lock" >>seen'
touch b-is-done
kill -CONT "$(cat etcdctl-of-a)"
code=0
wait $a || code=$?
echo "exit code of a: $code" >>seen
cat seen
[ "$(cat seen)" = "a has the lock
b has the lock
a still works
exit code of a: 0" ]
