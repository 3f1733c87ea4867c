# SPDX-License-Identifier: MIT
# On a system without apt scripts/setup says what is missing by the names of others, and is content where nothing is.
mkdir bin
for file in /usr/bin/* /usr/sbin/*; do
        [[ $file == */apt-get || $file == */cmake || $file == */qemu-nbd ]] || ln -sf "$file" bin/
done
setup() { env -i HOME="$WORK" PATH="$WORK/bin" "$lib/../../../scripts/setup" "$@" >out 2>said; }
# What it adds to PATH for administrator's programs has none of these.
setup && fail "it is content without cmake"
same "$(cat said)" "setup: what is missing here is called
    by dnf:     sudo dnf install cmake qemu-img 
    by pacman:  sudo pacman -S cmake qemu-img 
and by others as they call it; then start again" "what it says"
ln -s /usr/bin/cmake /usr/bin/qemu-nbd bin/
setup || fail "it is not content: $(cat said)"
same "$(cat out said)" "" "what it says where all is there"
setup --no-such-option && fail "another option is taken"
same "$(cat said)" "usage: scripts/setup [--tests]" "what it says of another option"
