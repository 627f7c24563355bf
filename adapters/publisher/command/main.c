/* comfy-publish: events of ComfyUI workers, from JSON lines or from a recording, by way of the publisher library. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adapters/publisher/command/arguments.h"
#include "adapters/publisher/command/desk.h"
#include "adapters/publisher/command/lines.h"
#include "adapters/publisher/command/player.h"

static int play(struct desk *d, const struct arguments *a)
{
    char why[RECORDING_WHY_BYTES];
    struct recording r;
    if (recording_read(&r, a->play, why) < 0) {
        fprintf(stderr, "comfy-publish: %s\n", why);
        return -1;
    }
    int error = player_play_all(d, &r, a);
    recording_deinit(&r);
    return error;
}

int main(int argc, char **argv)
{
    struct arguments a;
    struct desk d;
    int code = arguments_read(&a, argc, argv);
    if (code >= 0)
        return code;
    if (!a.play && fcntl(STDIN_FILENO, F_GETFD) < 0) { /* else its number is soon another file's */
        fprintf(stderr, "comfy-publish: standard input: %s\n", strerror(errno));
        return 1;
    }
    int error = desk_open(&d, &a);
    if (!error)
        error = a.play ? play(&d, &a) : lines_publish(&d, a.timeout_ms);
    int left = desk_close(&d, a.timeout_ms);
    return error || left ? 1 : 0;
}
