# SPDX-License-Identifier: MIT
# https: from a server whose certificate is signed by who is trusted, for the name that it was asked under, and in time.
# What https has begun, http does not end, unless a checksum says what is to come.
need openssl
. "$lib/serve.sh"
pattern served 2M 51

# authority NAME; certificate NAME AUTHORITY SUBJECT-ALT-NAME [OPENSSL-OPTION…]: a file with the certificate and its key.
authority() {
        run openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$1" -keyout "$1.key" -out "$1.pem" \
                -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
}
certificate() {
        local name=$1 signer=$2 alt=$3
        shift 3
        run openssl req -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout "$name.key" -out "$name.csr"
        echo "subjectAltName=$alt" >ext
        run openssl x509 -req -in "$name.csr" -CA "$signer.pem" -CAkey "$signer.key" -CAcreateserial -extfile ext -out crt "$@"
        cat crt "$name.key" >"$name.both"
}
authority ours
authority theirs
certificate good ours DNS:localhost -days 2
certificate other-name ours DNS:images.example -days 2
certificate foreign theirs DNS:localhost -days 2
certificate expired ours DNS:localhost -days -1
run openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=self -addext subjectAltName=DNS:localhost -keyout k -out c
cat c k >self.both

# Whom the system trusts, and here instead of that a list of our own.
export SSL_CERT_FILE=$WORK/ours.pem
start
two_regions

# None of these gives its login away, or a byte of a file; and they are not tried again and again.
web=$R/private/web
for wrong in other-name foreign expired self; do
        serve --tls "$WORK/$wrong.both"
        fetch_fails web "https://user:sesame@localhost:${AT#*:}/x.raw" "does not prove who it is"
        same "$(requests)" "" "requests to a server that is $wrong"
        unserve
done
[[ $(grep "does not prove" "$MNT/info/errors" | tail -n 1) != *sesame* ]] || fail "the password is shown"

serve --tls "$WORK/good.both"
secure=localhost:${AT#*:}
fetch web "https://user:open%20sesame@$secure/cut-1000000-1/auth/x.raw"
same_checksum "$web" served
same "$(requests)" "0 1000000, 1000000 1097152" "requests"
KEPT=$(ls "$R/snapshots")

# On to somewhere else: to another https, not to http or ftp without a checksum, to a file never.
mv requests requests.tls
serve
plain=$AT
: >requests
fetch there "https://$secure/to/x?https%3A//$secure/x.raw"
same_checksum "$R/private/there" served
KEPT=$(ls "$R/snapshots")
fetch_fails no "https://$secure/to/x?http%3A//$plain/x.raw" "from https only https unless a checksum is given"
fetch_fails no "https://$secure/to/x?ftp%3A//$plain/x.raw" "from https only https unless a checksum is given"
fetch_fails no "https://$secure/to/x?file%3A///etc/passwd" "not fetched from"
fetch_fails no "https://$secure/to/x?file%3A///etc/passwd xxh128=$(xxh served)" "not fetched from"
fetch summed "https://$secure/to/x?http%3A//$plain/x.raw xxh128=$(xxh served)"
same_checksum "$R/private/summed" served

# The password: not in the tree, not in what is logged, not among the processes, not in the store once it is stopped.
! grep -rE 'open( |%20)sesame' "$MNT" "$WORK/daemon.log" || fail "the password is shown"
! ps -eo args | grep -E 'open( |%20)[s]esame' || fail "the password is shown"
stop
! grep -rE 'open( |%20)sesame' "$STORE" || fail "the password is in the store"
