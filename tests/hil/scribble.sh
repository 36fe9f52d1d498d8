#!/bin/busybox sh
# All of a guest that means no good: with its own network device connected, it writes into the XenStore whatever it may
# and some of what it may not, each time saying on the console what came of it. `other=DOMID` on the command line names
# somebody else.
busybox mount -t proc proc /proc
busybox mount -t devtmpfs devtmpfs /dev
read -r words </proc/cmdline
for word in $words; do
    case $word in
    other=*) other=${word#*=} ;;
    esac
done
busybox modprobe xen_netfront
until [ -e /proc/sys/net/ipv4/conf/eth0 ]; do busybox usleep 10000; done
exec 3<>/dev/xen/xenbus

READ=2 WRITE=11 RM=13 SET_PERMS=14

number() { printf '\\%03o\\%03o\\%03o\\%03o' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)); }

# A message's header, as printf takes it: type, id of the request, transaction, length.
header() { echo "$(number "$1")$(number 1)$(number 0)$(number "$2")"; }

# ask TYPE PAYLOAD-AS-PRINTF-TAKES-IT LENGTH: the answer's payload is in $answer.
ask() {
    printf "$(header "$1" "$3")$2" >&3
    length=$(busybox dd bs=16 count=1 <&3 2>/dev/null | busybox od -A n -t u4 | { read -r _ _ _ size; echo "$size"; })
    answer=
    [ "$length" = 0 ] || answer=$(busybox dd bs="$length" count=1 <&3 2>/dev/null | busybox tr '\000' ' ')
}

said() { echo "scribble: $1: $answer"; }

write() { ask $WRITE "$1\\000$2" $((${#1} + 1 + ${#2})); said "write $1"; }
rm() { ask $RM "$1\\000" $((${#1} + 1)); said "rm $1"; }
take() { ask $SET_PERMS "$1\\000n$me\\000" $((${#1} + ${#me} + 3)); said "take $1"; }

ask $READ 'domid\0' 6
me=$answer
echo "scribble: domain $me"

# Not its own.
for path in name domid jitsu jitsu/resting console/ring-ref console/tty console/limit control/shutdown device/vif/1/state \
    "/local/domain/$other/data/x" "/local/domain/$other/name" "/local/domain/0/backend/vif/$me/0/state" \
    "/local/domain/0/backend/vif/$other/0/state" "/libxl/$me/type"; do
    write "$path" 666
done
rm "/local/domain/$other"
rm console
take console

# Its own.
write device/vif/0/backend "/local/domain/0/backend/vif/$other/0"
write device/vif/0/backend-id "$other"
write device/vif/0/mac "/../../.."
write device/vif/0/tx-ring-ref 4294967295
write data/jitsu/ready "$(printf '\033')[2J$other 99999999999999999999"
write data/jitsu/config "name"
write data/jitsu/control/wake "0 0"
write data/jitsu/ready/deeper/still x
write device/vif/0/state 6
write device/vif/0/state 77
take device/vif/0
rm device/vif/0/state
write device/vif/0/state 4
rm data

# More than anybody needs: paths of one length, so that no program is started for any.
same=$(header $WRITE 19)
turn=1000
while [ "$turn" -lt 2200 ]; do
    printf "${same}device/vif/0/%d\\000x" "$turn" >&3
    turn=$((turn + 1))
done
: >/answers
count() { busybox tr '\000' '\n' </answers | busybox grep -c "$@"; }
turn=0
busybox cat <&3 >>/answers &
until [ "$(count -e OK -e '^E')" -ge 1200 ] || [ "$turn" = 60 ]; do
    busybox sleep 1
    turn=$((turn + 1))
done
echo "scribble: nodes made: $(count OK)"
echo "scribble: done"
while :; do busybox sleep 1000; done
