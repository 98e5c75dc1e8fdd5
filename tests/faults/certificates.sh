#!/bin/sh
# Makes a certificate authority, and certificates of it, in the folder $1:
#   ca.pem           the authority; hashed/ has it by its hash
#   good.pem/.key    for 127.0.0.1
#   other.pem/.key   for another host
set -eu
mkdir -p "$1/hashed"
cd "$1"

make_key() {
  openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
}

make_certificate() { # name, subject's alternative name
  make_key "$1"
  openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
  printf 'subjectAltName=%s\n' "$2" > "$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -set_serial 0x"$(openssl rand -hex 8)" -days 30 \
    -extfile "$1.ext" -out "$1.pem"
}

{
  make_key ca
  openssl req -x509 -new -key ca.key -subj "/CN=pinstripe test authority" -days 30 -out ca.pem
  make_certificate good IP:127.0.0.1
  make_certificate other DNS:other.test
  cp ca.pem hashed/
  openssl rehash hashed
} 2> openssl.log || { cat openssl.log >&2; exit 1; }
