/* What it costs to turn one event into a finished frame, and what msgpack-c takes to read it only.
 *
 *     transcode relay|unpack COUNT <EVENT       prints nanoseconds of CPU time for each */
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adapters/msgpack/codec.h"

#define EVENT_BYTES 65536

static char event_bytes[EVENT_BYTES];
static size_t event_len;

static void by_relay(void)
{
    struct codec *codec = codec_msgpack();
    struct event event;
    struct frame *frame = NULL;
    if (codec->decode(codec, span_of(event_bytes, event_len), SPAN_NONE, &event) ||
        codec->encode(codec, &event, &frame))
        exit(EXIT_FAILURE);
    frame_unref(frame);
}

/* The zone and the tree, one after the other as its manual shows it. */
static void by_unpack(void)
{
    static msgpack_unpacked unpacked;
    size_t at = 0;
    if (msgpack_unpack_next(&unpacked, event_bytes, event_len, &at) != MSGPACK_UNPACK_SUCCESS)
        exit(EXIT_FAILURE);
}

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return fputs("transcode relay|unpack COUNT <EVENT\n", stderr), EXIT_FAILURE;
    void (*work)(void) = strcmp(argv[1], "unpack") == 0 ? by_unpack : by_relay;
    long count = strtol(argv[2], NULL, 10);
    event_len = fread(event_bytes, 1, sizeof event_bytes, stdin);
    for (long i = 0; i < count / 10; i++)
        work();
    double start_ns = cpu_ns();
    for (long i = 0; i < count; i++)
        work();
    printf("%.1f\n", (cpu_ns() - start_ns) / (double)count);
    return EXIT_SUCCESS;
}
