#include "tests/support/redis_server.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY "ready to accept connections"

static void die(const char *what)
{
    perror(what);
    abort();
}

/* In the child: redis-server, its log going to `log`, dying with the test. */
static void run(const struct redis_server *s, int log)
{
    const char *argv[16 + REDIS_SERVER_ARGS_MAX] = {
        "redis-server", "--port", "0", "--unixsocket", s->socket, "--dir",
        s->dir,         "--save", "",  "--appendonly", "no"};
    size_t count = 11;
    for (size_t i = 0; s->args && s->args[i] && i < REDIS_SERVER_ARGS_MAX; i++)
        argv[count++] = s->args[i];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execvp(argv[0], (char *const *)argv);
    perror(argv[0]);
    _exit(127);
}

/* Reads its log until it says that it is ready. The rest of the log is nobody's. */
static void await_ready(int log)
{
    char line[1024], said[8192] = "";
    FILE *file = fdopen(log, "r");
    while (file && fgets(line, sizeof line, file)) {
        if (strlen(said) + strlen(line) < sizeof said)
            strcat(said, line);
        if (!strcasestr(line, READY))
            continue;
        fclose(file);
        return;
    }
    fprintf(stderr, "redis-server did not start:\n%s\n", said);
    abort();
}

static void connect_control(struct redis_server *s)
{
    s->control = redisConnectUnix(s->socket);
    if (!s->control || s->control->err) {
        fprintf(stderr, "%s: %s\n", s->socket, s->control ? s->control->errstr : "no memory");
        abort();
    }
}

void redis_server_restart(struct redis_server *s)
{
    int log[2];
    if (pipe(log) < 0)
        die("pipe");
    s->pid = fork();
    if (s->pid < 0)
        die("fork");
    if (s->pid == 0)
        run(s, log[1]);
    close(log[1]);
    await_ready(log[0]);
    connect_control(s);
}

void redis_server_start(struct redis_server *s, const char *const *args)
{
    *s = (struct redis_server){.args = args, .dir = "/tmp/comfy-relay-test-XXXXXX"};
    signal(SIGPIPE, SIG_IGN);
    if (!mkdtemp(s->dir))
        die("mkdtemp");
    snprintf(s->socket, sizeof s->socket, "%s/redis.sock", s->dir);
    snprintf(s->url, sizeof s->url, "redis+unix://%s", s->socket);
    redis_server_restart(s);
}

void redis_server_kill(struct redis_server *s)
{
    if (s->pid <= 0)
        return;
    redisFree(s->control);
    s->control = NULL;
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

static void remove_directory(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(path);
}

void redis_server_stop(struct redis_server *s)
{
    redis_server_kill(s);
    remove_directory(s->dir);
}

static redisReply *run_command(struct redis_server *s, const char *format, va_list args)
{
    redisReply *reply = redisvCommand(s->control, format, args);
    if (reply && reply->type != REDIS_REPLY_ERROR)
        return reply;
    fprintf(stderr, "%s: %s\n", format, reply ? reply->str : s->control->errstr);
    abort();
}

redisReply *redis_server_do(struct redis_server *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = run_command(s, format, args);
    va_end(args);
    return reply;
}

long long redis_server_count(struct redis_server *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = run_command(s, format, args);
    va_end(args);
    long long n = reply->integer;
    freeReplyObject(reply);
    return n;
}

uint16_t redis_server_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        die("free port");
    close(fd);
    return ntohs(address.sin_port);
}
