#!/bin/bash
# Lines covered, by file and in all, of a build with coverage: tests/coverage.sh BUILD_DIRECTORY
set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
cd "$1"
find . -name '*.gcda' -print0 | xargs -0 gcov -n 2>/dev/null | awk -v root="$ROOT/" '
    /^File / { file = $2; gsub("\047", "", file); sub(root, "", file) }
    /^Lines executed:/ && file ~ /^(relay|adapters|config|main)/ {
        split($2, part, /[:%]/)
        # A file is listed once for each object it is in: the best counts.
        if (!(file in lines) || part[2] > best[file]) { best[file] = part[2]; lines[file] = $4 }
        file = ""
    }
    END {
        for (f in lines) { printf "%6.1f%% of %4d  %s\n", best[f], lines[f], f; all += lines[f]; hit += lines[f] * best[f] / 100 }
        if (!all) exit 1
        printf "%6.1f%% of %4d  in all\n", 100 * hit / all, all
    }' | sort -k4
