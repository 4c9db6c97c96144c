#!/usr/bin/env sh
# acme.sh's hook for DNS-01 challenges in a zone of a tidemark primary:
#
#   acme.sh --issue --dns dns_tidemark --dnssleep 1 -d example.org -d '*.example.org'
#
# acme.sh finds it in its home folder (~/.acme.sh) or in dnsapi/ there, and calls dns_tidemark_add and dns_tidemark_rm with the name
# and the value of the record. The settings are those of tidemark-acme; those that are in the environment are kept with the
# certificate, so that renewals have them. TIDEMARK_ACME names tidemark-acme where it is not /usr/lib/tidemark/acme/tidemark-acme.
# shellcheck disable=SC2034
dns_tidemark_info='tidemark
Docs: deploy/acme/README.md of tidemark
Options:
 TIDEMARK_ZONE The zone that holds the records.
 TIDEMARK_ACME_INC The file with the records, which the zone file includes.
 TIDEMARK_SERVERS All authoritative servers of the zone.
 TIDEMARK_ACME_TIMEOUT How long the servers may take. Optional.
 TIDEMARK_ACME_ENV A file with these settings. Optional.
 TIDEMARK_ACME The program tidemark-acme. Optional.
 TIDEMARK The program tidemark. Optional.
'

dns_tidemark_add() {
  _tidemark_settings
  _tidemark_acme present "$1" "$2"
}

dns_tidemark_rm() {
  _tidemark_settings
  _tidemark_acme cleanup "$1" "$2"
}

_tidemark_acme() {
  _tidemark_program=${TIDEMARK_ACME:-/usr/lib/tidemark/acme/tidemark-acme}
  if ! [ -x "$_tidemark_program" ]; then
    _err "there is no program $_tidemark_program: install tidemark-acme there, or set TIDEMARK_ACME to where it is"
    return 1
  fi
  if ! "$_tidemark_program" "$@"; then
    _err "tidemark-acme $1 failed for $2: its message above says why"
    return 1
  fi
}

# What the environment does not set comes from the last time.
_tidemark_settings() {
  for _tidemark_key in TIDEMARK_ZONE TIDEMARK_ACME_INC TIDEMARK_SERVERS TIDEMARK_ACME_TIMEOUT TIDEMARK_ACME_ENV TIDEMARK_ACME TIDEMARK; do
    eval "_tidemark_value=\${$_tidemark_key:-}"
    if [ -n "$_tidemark_value" ]; then
      _savedomainconf "$_tidemark_key" "$_tidemark_value"
    else
      _tidemark_value=$(_readdomainconf "$_tidemark_key")
      eval "$_tidemark_key=\$_tidemark_value"
    fi
    export "${_tidemark_key?}"
  done
}
