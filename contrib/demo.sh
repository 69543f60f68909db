#!/bin/sh
# The tour: a house with two accounts and a mail server, in a temporary folder and on free ports of loopback. Every
# command is printed before it runs, so that the output is a tutorial. `make demo` calls it; `make demo KEEP=1` leaves
# the house standing.
set -eu

bin=$(cd "${BIN:-target/debug}" && pwd)
PATH=$bin:$PATH
house=$(mktemp -d "${TMPDIR:-/tmp}/posthaste-demo.XXXXXX")
daemon=
reader=

leave() {
    status=$?
    trap - EXIT INT TERM HUP
    if [ $status != 0 ] && [ -s "$house/log" ]; then
        printf '\nThe servers wrote:\n' >&2
        cat "$house"/*log >&2
    fi
    for running in $daemon $reader; do
        kill "$running" 2>/dev/null || true
        wait "$running" 2>/dev/null || true
    done
    cd /
    rm -rf "$house"
    exit $status
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold= plain=; fi
say() { printf '\n%s\n' "$*"; }
# Prints a command and runs it, as it would be typed in the house.
run() {
    printf '%s$ %s%s\n' "$bold" "$1" "$plain"
    eval "$1"
}
# The same for a command that must be refused.
refused() {
    printf '%s$ %s%s\n' "$bold" "$1" "$plain"
    status=0
    eval "$1" || status=$?
    if [ "$status" = 0 ]; then
        echo 'It was not refused: that is a fault.' >&2
        exit 1
    fi
    printf '(exit status %s)\n' "$status"
}

cd "$house"
say "A house for mail in $house: a certificate that it signs itself, and one configuration file."
"$bin/examples/certificate" . mx.example.org localhost 127.0.0.1
cat > posthaste.toml <<END
hostname = "mx.example.org"
state = "state"
user = "$(id -un)"

[accounts]
domains = ["example.org"]
file = "accounts"
maildir = "mail/{domain}/{user}"

[tls]
certificate = "cert.pem"
key = "key.pem"

[relayd]
smtp = ["127.0.0.1:0"]          # a real one listens on "[::]:25",
submission = ["127.0.0.1:0"]    # "[::]:587"
submissions = ["127.0.0.1:0"]   # and "[::]:465"; port 0 is any free one
local = "unix:submit"
control = "unix:control"

[serve]
imap = ["127.0.0.1:0"]          # "[::]:143",
imaps = ["127.0.0.1:0"]         # "[::]:993",
pop3s = ["127.0.0.1:0"]         # "[::]:995"
END
run 'cat posthaste.toml'

say 'Two accounts. Their passwords are kept as SCRAM keys.'
printf 'wonderland\n' > alice.password
chmod 600 alice.password
run 'mail-user -C posthaste.toml add alice@example.org < alice.password'
run 'echo builder | mail-user -C posthaste.toml add bob@example.org'
run 'mail-user -C posthaste.toml list'

say 'The server. It says on a descriptor of our choice where it listens.'
mkfifo ready
run 'mail-relayd -C posthaste.toml --ready-fd 3 3> ready > log 2>&1 &'
daemon=$!
read -r ports < ready || { echo 'The server did not start.' >&2; exit 1; }
rm ready
echo "$ports"
port() { printf '%s\n' "$ports" | sed -n "s/.*\"$1\":\[\"[^\"]*:\([0-9]*\)\".*/\1/p"; }
smtp=$(port smtp)
submission=$(port submission)

say 'Alice writes to Bob: a subject that is not ASCII, an attachment, over TLS and with her login.'
printf 'Kohlrabi\nPastinaken\nRote Bete\n' > beet.txt
run "echo 'Was wir säen wollen, steht im Anhang.' |
  mail-send --server smtp://alice@127.0.0.1:$submission --tls-ca cert.pem --password-file alice.password \\
    --from alice@example.org --to bob@example.org --subject 'Grüße aus dem Garten' --attach beet.txt --body -"

say 'A stranger may write to Bob, and only to people of this house: it is no open relay.'
run "printf 'From: eve@elsewhere.example\nTo: bob@example.org\nSubject: hello\n\nHello Bob.\n' |
  mail-send --server smtp://127.0.0.1:$smtp -f eve@elsewhere.example bob@example.org"
refused "printf 'Subject: spam\n\nBuy.\n' |
  mail-send --server smtp://127.0.0.1:$smtp -f eve@elsewhere.example victim@elsewhere.example"

say "Bob's mail is a folder of files. Tools find messages and pass on their paths."
run 'mail-list -l mail/example.org/bob'
run 'mail-list --from alice mail/example.org/bob | mail-show'
run 'mail-list --from alice mail/example.org/bob | mail-show -h Subject'
run 'mail-list --from alice mail/example.org/bob | mail-show --part 2'
run "mail-list --json mail/example.org/bob | head -n 1"

say 'Mail programs read it over IMAP and POP3: another server, on the same folders.'
mkfifo ready
run 'mail-serve -C posthaste.toml --ready-fd 3 3> ready > reader.log 2>&1 &'
reader=$!
read -r ports < ready || { echo 'The server did not start.' >&2; exit 1; }
rm ready
echo "$ports"
imap=$(port imap)
imaps=$(port imaps)
pop3s=$(port pop3s)
if command -v curl > /dev/null; then
    run "curl -sS --cacert cert.pem -u bob:builder 'imaps://127.0.0.1:$imaps/INBOX;UID=1;SECTION=HEADER.FIELDS%20(FROM%20SUBJECT)'"
    run "curl -sS --cacert cert.pem -u bob:builder pop3s://127.0.0.1:$pop3s/"
fi
run "printf 'a LOGIN bob builder\r\nb SELECT INBOX\r\nc FETCH 1:* (UID FLAGS RFC822.SIZE)\r\nd LOGOUT\r\n' |
  mail-serve -C posthaste.toml --stdio=imap 2> /dev/null"

say 'Mail that lies on another server is fetched: what is new, each time, and silently when nothing is.'
run 'echo builder > bob.password; chmod 600 bob.password'
run "mail-fetch --keep --into fetched --state fetching --tls-ca cert.pem --password-file bob.password imaps://bob@127.0.0.1:$imaps"
run "mail-fetch --keep --into fetched --state fetching --tls-ca cert.pem --password-file bob.password imaps://bob@127.0.0.1:$imaps"
run 'mail-list -l fetched'
run "mail-fetch --delete --into popped --state fetching --tls-ca cert.pem --password-file bob.password pop3s://bob@127.0.0.1:$pop3s"
run 'mail-list -l mail/example.org/bob'

say 'Nothing waits in the queue, and the log has one id for each message all the way.'
run 'mail-queue -C posthaste.toml list'
run 'cat log'

if [ -n "${KEEP:-}" ]; then
    trap - EXIT INT TERM HUP
    say "The house stays. To go on in it:"
    cat <<END
    cd $house; PATH=$bin:\$PATH
    echo 'Hello Alice' | mail-send --server unix:submit -f bob@example.org alice@example.org
    mail-list mail/example.org/alice
With mutt (password builder; it asks about the certificate, which is cert.pem):
    mutt -f imap://bob@127.0.0.1:$imap/
In Thunderbird: a new account bob@example.org, configured by hand: IMAP, 127.0.0.1, port $imaps, SSL/TLS, user bob; for sending
SMTP, 127.0.0.1, port $submission, STARTTLS, user bob.
To take it down:
    kill $daemon $reader; rm -rf $house
END
else
    say 'The servers end when they are asked to; what is in flight would stay in the spool.'
    run "kill $daemon $reader"
    wait "$daemon" "$reader" || true
    daemon= reader=
    say "That was it. make demo KEEP=1 leaves the house standing; man/posthaste.7 is the map."
fi
