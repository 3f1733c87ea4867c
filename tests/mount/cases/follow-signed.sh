# SPDX-License-Identifier: MIT
# A list of sums that must be signed: by a key of the keyring, all of it, and not before the last one that was.
. "$lib/upstream.sh"
need gpg gpgv
start
two_regions
raise_limits
upstream
export GNUPGHOME=$WORK/keys
mkdir -m 700 keys
key() { # NAME [TIME]: its public part in NAME.gpg, and armoured in NAME.asc
        run gpg --batch --quiet --passphrase '' ${2:+--faked-system-time "$2!"} --quick-gen-key "$1 <$1@example.org>" ed25519 sign \
                "${3:-never}" >/dev/null
        gpg --export "$1@example.org" >"$1.gpg"
        gpg --armor --export "$1@example.org" >"$1.asc"
}
key good 20190101T000000
key other 20190101T000000
key expired 20200101T000000 30d

# sign HOW NAME DAY: of up/SHA256SUMS. HOW: --clearsign, or --detach-sign ENDING.
sign() {
        rm -f up/SHA256SUMS.*
        local by=(gpg --batch --yes --quiet --passphrase '' --faked-system-time "202001${3}T000000!" -u "$2@example.org")
        case $1 in
        clear)
                run "${by[@]}" --clearsign -o up/clear up/SHA256SUMS
                mv up/clear up/SHA256SUMS
                ;;
        asc) run "${by[@]}" --armor --detach-sign -o up/SHA256SUMS.asc up/SHA256SUMS ;;
        *) run "${by[@]}" --detach-sign -o "up/SHA256SUMS.$1" up/SHA256SUMS ;;
        esac
        dated up/SHA256SUMS
}

F=$R/follows/debian
ok mkdir "$F"
ok write "$F/url" "http://$AT/disk.raw"

# Keys, armoured or not, in one write or many; never a private one.
gpg --batch --passphrase '' --export-secret-keys good@example.org >private.gpg
fails cp private.gpg "$F/keyring"
[[ $(cat "$F/last-error") == *"private key"* ]] || fail "$(cat "$F/last-error")"
gpg --armor --batch --passphrase '' --export-secret-keys good@example.org >private.asc
fails cp private.asc "$F/keyring"
head -n -1 good.asc >cut.asc
fails cp cut.asc "$F/keyring"
head -c 100 good.gpg >cut.gpg
fails cp cut.gpg "$F/keyring"
value "$F/keyring" ""
run cp good.gpg "$F/keyring"
run gpg --batch --dearmor <"$F/keyring" >shown.gpg
cmp shown.gpg good.gpg || fail "keyring is not what was written"
run cp other.asc "$F/keyring"
run dd if=good.asc of="$F/keyring" bs=100 status=none
run gpg --batch --dearmor <"$F/keyring" >shown.gpg
cmp shown.gpg good.gpg || fail "keyring is not what was written armoured"
release 1
look_fails "$F" "there is a keyring, but no list"
ok write "$F/sums" "http://$AT/SHA256SUMS"

# Not signed, signed by others, by a key that is too old, changed after that.
look_fails "$F" "sums is not signed"
sign asc other 02
look_fails "$F" "by a key that is not in keyring"
sign asc good 02
echo "# more" >>up/SHA256SUMS
look_fails "$F" "its signature is not good"
release 1
sign clear good 02
sed -i 's/^[0-9a-f]\{8\}/00000000/' up/SHA256SUMS
look_fails "$F" "its signature is not good"
echo nonsense >up/SHA256SUMS.sign
release 1
look_fails "$F" "sums cannot be trusted"
cat good.gpg expired.gpg >both.gpg
run cp both.gpg "$F/keyring"
sign gpg expired 02
look_fails "$F" "sums cannot be trusted"

# Signed as it should be, each way; what stands beside what was signed counts for nothing.
sign sign good 03
look "$F" idle
same "$(ls "$F/images" | wc -l)" 1 "images"
same_checksum "$F/images/$(ls "$F/images")" up/disk.raw
release 2
sign gpg good 04
look "$F" idle
release 3
sign asc good 05
look "$F" idle
same "$(ls "$F/images" | wc -l)" 3 "images"
release 4
sign clear good 06
(sha256sum up/disk.raw | sed 's/^./0/; s, up/, ,'; cat up/SHA256SUMS; sha256sum up/disk.raw | sed 's/^./1/; s, up/, ,') >more
mv more up/SHA256SUMS
dated up/SHA256SUMS
look "$F" idle
same "$(ls "$R/recycle" | wc -l)" 1 "what is beyond keep"

# An older list, right as it was, is refused; of the same day or a newer one it is taken.
cp up/SHA256SUMS newest
release 5
sign clear good 05
look_fails "$F" "older than a list that was seen before"
[[ $(cat "$F/last-error") == *2020-01-05T00:00:00Z*2020-01-06T00:00:00Z* ]] || fail "$(cat "$F/last-error")"
restart
look_fails "$F" "older than a list that was seen before"
cp newest up/SHA256SUMS
dated up/SHA256SUMS
look "$F" idle
release 5
sign clear good 07
look "$F" idle
same "$(ls "$R/recycle" | wc -l)" 2 "what is beyond keep"

# Another keyring begins anew; without one nothing is checked.
run cp other.gpg "$F/keyring"
release 6
sign gpg other 01
look "$F" idle
echo >"$F/keyring"
value "$F/keyring" ""
release 7
rm -f up/SHA256SUMS.*
look "$F" idle
gpgconf --kill all
stop
check_store
