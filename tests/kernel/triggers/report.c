/* The program that the others start: it prints what it sees of itself. Kernel numbers come from /proc, see proc(5). */
#include "trigger.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static const char *file__text(const char *path)
{
    static char text[4096];
    FILE *file = fopen(path, "r");
    size_t size = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

    text[size] = 0;
    if (file)
        fclose(file);
    return text;
}

/* A field of /proc/self/stat by its number in proc(5); the second may hold anything, so fields count from its end. */
static long long stat__field(int number)
{
    const char *at = strrchr(file__text("/proc/self/stat"), ')');

    for (int i = 2; at && i < number; i++)
        at = strchr(at + 1, ' ');
    return at ? atoll(at + 1) : -1;
}

static unsigned long long status__hex(const char *name)
{
    const char *at = strstr(file__text("/proc/self/status"), name);
    return at ? strtoull(at + strlen(name), NULL, 16) : 0;
}

static long long number_in(const char *path)
{
    const char *text = file__text(path);
    return *text ? atoll(text) : -1;
}

static void report__ids(void)
{
    uid_t r, e, s;
    gid_t gr, ge, gs;

    must(getresuid(&r, &e, &s), "getresuid");
    must(getresgid(&gr, &ge, &gs), "getresgid");
    json__add("\"uids\":[%u,%u,%u],\"gids\":[%u,%u,%u],", r, e, s, gr, ge, gs);
    json__add("\"capabilities\":%llu,", status__hex("CapEff:"));
    json__add("\"permitted\":%llu,", status__hex("CapPrm:"));
    json__number("login_uid", number_in("/proc/self/loginuid"));
    json__number("audit_session", number_in("/proc/self/sessionid"));
}

static void report__namespace(const char *name, const char *path)
{
    struct stat info;
    json__number(name, stat(path, &info) ? -1 : (long long)info.st_ino);
}

static void report__place(void)
{
    static char cwd[1 << 16], exe[4096];
    struct stat info;
    ssize_t size = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

    json__text("cwd", getcwd(cwd, sizeof(cwd)));
    json__text("exe", size < 0 ? NULL : exe);
    if (!stat("/proc/self/exe", &info)) {
        json__number("exe_inode", info.st_ino);
        json__add("\"exe_device\":[%u,%u],", major(info.st_dev), minor(info.st_dev));
    }
}

static void report__self(char **argv)
{
    char comm[16];

    json__begin();
    json__args(argv);
    json__number("pgid", getpgid(0));
    json__number("sid", getsid(0));
    must(prctl(PR_GET_NAME, comm), "prctl");
    json__text("comm", comm);
    json__number("tty", stat__field(7));
    json__number("start", stat__field(22));
    report__ids();
    report__place();
    report__namespace("mount_ns", "/proc/self/ns/mnt");
    report__namespace("pid_ns", "/proc/self/ns/pid");
    report__namespace("user_ns", "/proc/self/ns/user");
    json__end();
}

/* A first argument of "stay" keeps the process until it is killed. */
int main(int argc, char **argv)
{
    report__self(argv);
    if (argc > 1 && !strcmp(argv[1], "stay"))
        pause();
    return 0;
}
