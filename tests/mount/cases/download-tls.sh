# SPDX-License-Identifier: MIT
# Downloads with a certificate: https, and the name that addresses are to have.
need curl openssl

run openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=images.example -addext subjectAltName=DNS:images.example \
        -keyout key.pem -out cert.pem
start -o "http=127.0.0.1:0,http-cert=cert.pem,http-key=key.pem,http-name=images.example"
two_regions
pattern web.raw 5000000 84
import_raw "$R/private/web" web.raw
ok mkdir "$R/private/web/download/vda.raw"
url=$(cat "$R/private/web/download/vda.raw/url")
[[ $url =~ ^https://images\.example:([0-9]+)/[0-9a-f]{64}/vda\.raw$ ]] || fail "url is $url"
run curl -s --cacert cert.pem --resolve "images.example:${BASH_REMATCH[1]}:127.0.0.1" -o got.raw "$url"
same_disk got.raw web.raw
truncate -s 1000000 got.raw
run curl -s --cacert cert.pem --resolve "images.example:${BASH_REMATCH[1]}:127.0.0.1" -C - -o got.raw "$url"
same_disk got.raw web.raw
fails curl -s --resolve "images.example:${BASH_REMATCH[1]}:127.0.0.1" -o /dev/null "$url"
fails curl -s --fail -o /dev/null "http://127.0.0.1:${BASH_REMATCH[1]}/${url#https://*/}"
