/* What a cgroup's name tells of it, after systemd, Docker, containerd, CRI-O, Podman and LXC. */
#ifndef CGTRAIL_NAMES_H
#define CGTRAIL_NAMES_H

#include "events.h"
#include "kernel.h"

#define NAME_BYTES 256
#define ID_BYTES 64 /* of a container's id, in hexadecimal */

static __always_inline bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static __always_inline bool name__has(const char *name, __u32 at, const char *part, __u32 size)
{
    for (__u32 i = 0; i < size; i++)
        if (name[(at + i) & (NAME_BYTES - 1)] != part[i])
            return false;
    return true;
}

#define STARTS_WITH(name, part) name__has(name, 0, part, sizeof(part) - 1)
#define ENDS_WITH(name, length, part) \
    ((length) >= sizeof(part) - 1 && name__has(name, (length) - (sizeof(part) - 1), part, sizeof(part) - 1))
#define IS(name, whole) name__has(name, 0, whole, sizeof(whole)) /* its NUL included */

/* Whether the last 64 characters are a container's id, as in docker-<id>.scope or <id>. */
static __noinline bool name__has_id(const char *name, __u32 length)
{
    if (length < ID_BYTES || length > NAME_BYTES)
        return false;
    for (__u32 i = 0; i < ID_BYTES; i++)
        if (!is_hex(name[(length - ID_BYTES + i) & (NAME_BYTES - 1)]))
            return false;
    return true;
}

/* A name that may end with an id, any ".scope" taken off: of a container, of the process that minds it (conmon, of
 * Podman and CRI-O), or `otherwise`. */
static __always_inline __u32 name__by_id(const char *name, __u32 length, __u32 otherwise)
{
    if (!name__has_id(name, length))
        return otherwise;
    return ENDS_WITH(name, length - ID_BYTES, "-conmon-") ? CGTRAIL_WATCH_NONE : CGTRAIL_WATCH_CONTAINER;
}

/* Podman's cgroups where systemd does not make them: /libpod_parent/<pod's id>/libpod-<id> with conmon beside it. */
static __always_inline bool name__is_podman_parent(const char *name)
{
    return IS(name, "libpod_parent");
}

/* enum cgtrail_watch of a name that fits; `in_podman`: it lies in /libpod_parent. systemd-nspawn runs in a service or
 * a machine's scope, in which there are virtual machines (machine-qemu...) too. */
static __noinline __u32 name__watch(const char *name, __u32 length, bool in_podman)
{
    if (STARTS_WITH(name, "lxc.payload."))
        return CGTRAIL_WATCH_CONTAINER;
    if (STARTS_WITH(name, "lxc.monitor."))
        return CGTRAIL_WATCH_NONE;
    if (ENDS_WITH(name, length, ".scope")) {
        bool machine = STARTS_WITH(name, "machine-") && !STARTS_WITH(name, "machine-qemu");
        return name__by_id(name, length - 6, machine ? CGTRAIL_WATCH_PROVISIONAL : CGTRAIL_WATCH_NONE);
    }
    if (ENDS_WITH(name, length, ".service"))
        return STARTS_WITH(name, "systemd-nspawn@") ? CGTRAIL_WATCH_PROVISIONAL : CGTRAIL_WATCH_NONE;
    if (ENDS_WITH(name, length, ".slice") || ENDS_WITH(name, length, ".mount"))
        return CGTRAIL_WATCH_NONE;
    if (name__is_podman_parent(name) || IS(name, "conmon"))
        return CGTRAIL_WATCH_NONE;
    if (in_podman && length == ID_BYTES)
        return CGTRAIL_WATCH_PROVISIONAL;
    return name__by_id(name, length, CGTRAIL_WATCH_PROVISIONAL);
}

#endif
