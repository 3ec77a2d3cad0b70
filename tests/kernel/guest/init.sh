#!/busybox sh
# The first program of the guest: mounts the host's files and starts the job.
set -e

# A failure ends the guest at once, with its message on the console.
trap '/busybox poweroff -f' EXIT

/busybox mkdir -p /bin /proc /host
/busybox --install -s /bin
export PATH=/bin

for module in /modules/*.ko; do
    insmod "$module"
done

share="trans=virtio,version=9p2000.L,msize=512000"
mount -t 9p -o "$share,ro,cache=loose" host /host

mount -t proc proc /host/proc
mount -t sysfs sysfs /host/sys
mount -t cgroup2 cgroup2 /host/sys/fs/cgroup
mount -t bpf bpf /host/sys/fs/bpf
mount -t debugfs debugfs /host/sys/kernel/debug
mount -t tracefs tracefs /host/sys/kernel/tracing

mount -t devtmpfs devtmpfs /host/dev
mkdir -p /host/dev/pts /host/dev/shm
mount -t devpts -o ptmxmode=0666 devpts /host/dev/pts
mount -t tmpfs -o mode=1777 tmpfs /host/dev/shm
ln -s /proc/self/fd /host/dev/fd
ln -s fd/0 /host/dev/stdin
ln -s fd/1 /host/dev/stdout
ln -s fd/2 /host/dev/stderr

mount -t tmpfs -o mode=755 tmpfs /host/run
mkdir /host/run/guest /host/run/tmp /host/run/tmp/upper /host/run/tmp/work
mount -t 9p -o "$share" box /host/run/guest

# The host's /tmp stays visible, as it may hold what the command needs.
chmod 1777 /host/run/tmp/upper
mount -t overlay -o \
    lowerdir=/host/tmp,upperdir=/host/run/tmp/upper,workdir=/host/run/tmp/work \
    overlay /host/tmp

ip link set lo up

# Not chroot: the kernel refuses user namespaces to a process in a chroot.
exec switch_root /host /bin/sh /run/guest/job
