#!/bin/busybox sh
# shellcheck shell=dash
# Runs in the virtual machine, as its first process: tests picket and speaks the protocol that
# matrix.py understands, lines that begin with VMTEST. Whatever else is printed is for people.
#
#   VMTEST begin RELEASE       VMTEST phase NAME
#   VMTEST doctor JSON         VMTEST listed N        VMTEST test NAME ok|FAILED
#   VMTEST record JSON         VMTEST end2end-failed WHY
#   VMTEST refusal TEXT       VMTEST said TEXT
#   VMTEST status PHASE CODE   VMTEST end
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root RUST_BACKTRACE=0
say() { echo "VMTEST $*"; }
for applet in cat cp cut date dmesg grep head ifconfig hostname ip ls mkdir mount sed seq sleep stty sync tail wget; do
	[ -e /bin/$applet ] || [ -e /usr/bin/$applet ] || ln -s /bin/busybox /usr/local/bin/$applet 2>/dev/null
done
export PATH=$PATH:/usr/local/bin

# What systemd would have done.
mount -t tmpfs none /run
mkdir -p /dev/pts /dev/shm
mount -t devpts -o ptmxmode=666 none /dev/pts
mount -t tmpfs none /dev/shm
mount -t cgroup2 none /sys/fs/cgroup
mount -t securityfs none /sys/kernel/security 2>/dev/null
mount -t tracefs none /sys/kernel/tracing 2>/dev/null
mount -t bpf none /sys/fs/bpf 2>/dev/null
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
chmod 1777 /tmp
ip link set lo up
hostname vm
ulimit -n 65536

say begin "$(cat /proc/sys/kernel/osrelease)"
say lsm "$(cat /sys/kernel/security/lsm 2>/dev/null)"
read -r cmdline </proc/cmdline
for word in $cmdline; do
	case $word in
	vmtest.filter=*) filter=$(echo "${word#*=}" | sed 's/,/ /g') ;;
	vmtest.phases=*) phases=$(echo "${word#*=}" | sed 's/,/ /g') ;;
	esac
done

doctor() {
	/picket/picket doctor --format json >/run/doctor 2>/run/doctor.err
	code=$?
	while read -r line; do say doctor "$line"; done </run/doctor
	while read -r line; do say said "$line"; done </run/doctor.err
	return $code
}

tests() {
	# shellcheck disable=SC2086 # a list of words
	say listed "$(/picket/kernel --list $filter 2>/dev/null | grep -c ': test$')"
	# shellcheck disable=SC2086 # a list of words
	/picket/kernel --test-threads=2 --color=never $filter >/run/tests 2>&1
	code=$?
	grep -E '^test .* \.\.\. ' /run/tests | sed 's/^test \(.*\) \.\.\. \(.*\)$/VMTEST test \1 \2/'
	grep -vE '^test .* \.\.\. ok$' /run/tests | sed 's/^/| /'
	return $code
}

# Waits for something to be said by picket, then for servers to be told of.
until_said() {
	n=0
	until grep -q "$1" "$2"; do
		n=$((n + 1))
		[ $n -lt 600 ] || return 1
		[ -d "/proc/$sensor" ] || return 1
		sleep 0.1
	done
}

end2end() {
	/picket/picket run --format json --environment ci >/run/records 2>/run/picket.err &
	sensor=$!
	until_said 'watching, coverage' /run/picket.err || {
		say end2end-failed "picket did not begin to watch"
		while read -r line; do say said "$line"; done </run/picket.err
		kill -9 $sensor
		return 1
	}
	mkdir -p /srv/www /run/ngx /var/log/nginx /var/lib/nginx
	echo hello >/srv/www/index.html
	echo 'daemon off; pid /run/ngx/pid; error_log stderr; events {}
	http { access_log off; server { listen 127.0.0.1:8081; root /srv/www; } }' >/run/ngx/conf
	sed 's/8081/8082/; s/pid;/pid2;/' /run/ngx/conf >/run/ngx/conf2
	cp /usr/sbin/nginx /srv/kworker
	/usr/sbin/nginx -c /run/ngx/conf 2>/run/nginx.err &
	one=$!
	/srv/kworker -c /run/ngx/conf2 2>/run/kworker.err &
	two=$!
	(cd /srv/www && exec python3 -m http.server --bind 127.0.0.1 8083) >/run/python.out 2>&1 &
	three=$!
	/bin/busybox httpd -f -p 127.0.0.1:8084 -h /srv/www &
	four=$!
	# Each of them really serves.
	for port in 8081 8082 8083 8084; do
		n=0
		until wget -q -O - "http://127.0.0.1:$port/" 2>/dev/null | grep -q hello; do
			n=$((n + 1))
			[ $n -lt 600 ] || { say end2end-failed "nothing serves on port $port"; break; }
			sleep 0.1
		done
	done
	/usr/sbin/nginx -t -c /run/ngx/conf 2>/dev/null
	for port in 8081 8082 8083 8084; do
		until_said "\"update\".*\"port\":$port" /run/records || say end2end-failed "no update for port $port"
	done
	kill $one $two $three $four
	kill -INT $sensor
	wait $sensor
	code=$?
	while read -r line; do say record "$line"; done </run/records
	while read -r line; do say said "$line"; done </run/picket.err
	return $code
}

# A kernel without type information, as far as picket can see: it must refuse, and say why.
refused() {
	mkdir -p /run/nothing
	mount -o bind /run/nothing /sys/kernel/btf
	/picket/picket run >/run/refusal 2>&1
	code=$?
	umount /sys/kernel/btf
	while read -r line; do say refusal "$line"; done </run/refusal
	return $code
}

for phase in ${phases:-doctor end2end refused tests}; do
	say phase "$phase"
	$phase
	say status "$phase" $?
done
dmesg 2>/dev/null | grep -E 'BUG:|WARNING:|Oops|Call Trace' | head -20 | while read -r line; do say trouble "$line"; done
say end
sync
/bin/busybox poweroff -f
