/* Writes the page of metrics: metrics-reference PAGE */
#include "adapters/http/metrics.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: metrics-reference PAGE\n", stderr);
        return 2;
    }
    FILE *to = fopen(argv[1], "w");
    if (to != NULL)
        metrics_write_page(to);
    if (to == NULL || fclose(to) != 0) {
        perror(argv[1]);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
