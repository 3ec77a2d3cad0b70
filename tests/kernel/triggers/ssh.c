/* What an SSH server does when somebody has logged in. The program is also called by the names of such servers. */
#include "trigger.h"

#include <sys/wait.h>

static char *hex__decode(const char *hex)
{
    size_t size = strlen(hex) / 2;
    char *text = calloc(1, size + 1);

    for (size_t i = 0; i < size; i++)
        sscanf(hex + 2 * i, "%2hhx", (unsigned char *)text + i);
    return text;
}

/* ssh-login [VARIABLE-IN-HEXADECIMAL ...]: a child starts the target with this environment. */
int ssh_login(int argc, char **argv)
{
    char *args[] = {"login", NULL}, **environment = calloc(argc, sizeof(char *));
    pid_t child;

    for (int i = 1; i < argc; i++)
        environment[i - 1] = hex__decode(argv[i]);
    child = must(fork(), "fork");
    if (child == 0) {
        execve(TARGET, args, environment);
        must(-1, TARGET);
    }
    must(waitpid(child, NULL, 0), "waitpid");
    json__begin();
    json__end();
    return 0;
}
