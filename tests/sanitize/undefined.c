/* SPDX-License-Identifier: BSD-3-Clause */
/* Adds one to the largest int: a sanitizer of undefined behaviour that works says so. */
#include <limits.h>

int main(int argc, char **argv)
{
    (void)argv;
    return INT_MAX - 1 + argc + argc > 0;
}
