#!/bin/sh
# reap.sh ENGINE LABEL: waits until the process that started it has ended, however it did, and removes its container.
#
# Standard input is a pipe that nobody writes into but that process: its end is that process's end. Two lines mean something:
# `folder PATH`, to be removed as well, and `done`, after which nothing is left to do.
#
# The engine's own --rm removes a container that has ended, but nothing ends one whose client is dead.
trap '' INT TERM HUP
PATH="${PATH:+$PATH:}/usr/bin:/bin"
engine=$1
label=$2
folder=
while IFS= read -r line; do
  case $line in
    done) exit 0 ;;
    'folder '*) folder=${line#folder } ;;
  esac
done

# A client that outlived the process may be about to create a container: five looks in a row have to find none. Volumes go after
# that, since an engine makes a volume anew, and without its label, for a container that names one which is gone.
looks=0
quiet=0
while [ "$quiet" -lt 5 ] && [ "$looks" -lt 120 ] && [ -x "$engine" ]; do
  looks=$((looks + 1))
  if containers=$("$engine" ps --all --quiet --no-trunc --filter "label=$label" 2>/dev/null) && [ -z "$containers" ]; then
    quiet=$((quiet + 1))
  else
    quiet=0
    # Unquoted: one argument an id.
    [ -z "$containers" ] || "$engine" rm --force --volumes $containers >/dev/null 2>&1
  fi
  sleep 1
done
while [ "$looks" -lt 120 ] && [ -x "$engine" ]; do
  looks=$((looks + 1))
  if volumes=$("$engine" volume ls --quiet --filter "label=$label" 2>/dev/null); then
    if [ -z "$volumes" ] || "$engine" volume rm $volumes >/dev/null 2>&1; then break; fi
  fi
  sleep 1
done
[ -z "$folder" ] || rm -rf -- "$folder"
