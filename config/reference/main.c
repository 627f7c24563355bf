/* Writes the example file and the page of options: options-reference EXAMPLE PAGE */
#include "config/reference.h"

#include <stdlib.h>

static int write_file(const char *path, void (*write)(FILE *to))
{
    FILE *to = fopen(path, "w");
    if (to == NULL) {
        perror(path);
        return -1;
    }
    write(to);
    if (fclose(to) != 0) {
        perror(path);
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: options-reference EXAMPLE PAGE\n", stderr);
        return 2;
    }
    if (write_file(argv[1], reference_write_example) < 0 || write_file(argv[2], reference_write_page) < 0)
        return EXIT_FAILURE;
    return EXIT_SUCCESS;
}
