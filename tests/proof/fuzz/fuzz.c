/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz.c - an input becomes calls of three threads; see world.h
 *
 * With libFuzzer (clang) the inputs are its own. Without it:
 *   fuzz [SECONDS | COUNTx] [FILE...]   the files' inputs first, then random ones. WEIR_TEST_SEED repeats. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUTS_PER_APP = 64 };

struct part {
    struct bytes bytes;
    struct actor *actor;
};

static void *run_part(void *arg)
{
    struct part *part = arg;
    while (!is_empty(&part->bytes))
        act(&part->bytes, part->actor);
    return NULL;
}

static void run_input(const uint8_t *data, size_t size)
{
    struct part parts[THREADS];
    pthread_t threads[THREADS];
    size_t each = size / THREADS;
    for (int i = 0; i < THREADS; i++) {
        parts[i] = (struct part){ { data + each * (size_t)i, data + each * (size_t)(i + 1) }, &world.actors[i] };
        if (i != 0)
            must(pthread_create(&threads[i], NULL, run_part, &parts[i]) == 0);
    }
    run_part(&parts[0]);
    for (int i = 1; i < THREADS; i++)
        must(pthread_join(threads[i], NULL) == 0);
}

static int inputs;                                 /* in this application's life */

static void close_at_exit(void)
{
    if (inputs != 0)
        world_close_app();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool begun;
    if (!begun) {
        begun = true;
        for (int i = 0; i < THREADS; i++)
            must(pipe(world.actors[i].pipe) == 0);
        atexit(close_at_exit);
    }
    if (size < 2)
        return 0;
    if (inputs != 0 && weir_app_tick(world.app) != WEIR_OK) {      /* the input before has closed it */
        world_close_app();
        inputs = 0;
    }
    if (inputs == 0)
        world_open_app(1 + data[0] % 3);
    world.fail_every = data[1] % 2 == 0 ? 100 : 0;
    world_begin();
    weir_session first = { 0 };
    if (weir_session_open(world.app, NULL, &first) == WEIR_OK)
        (void)pool_add(&world.sessions, first.bits);
    run_input(data + 2, size - 2);
    world.fail_every = 0;
    world_end();
    if (++inputs == INPUTS_PER_APP) {
        world_close_app();
        inputs = 0;
    }
    return 0;
}

#ifndef PROOF_LIBFUZZER

#include "tests/support/support.h"

static uint8_t input[4096];

static void run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    size_t size = fread(input, 1, sizeof(input), file);
    (void)fclose(file);
    (void)LLVMFuzzerTestOneInput(input, size);
}

static void run_random(uint64_t *random)
{
    size_t size = 16 + test_random(random) % 400;
    for (size_t i = 0; i < size; i++)
        input[i] = (uint8_t)(test_random(random) >> 32);
    (void)LLVMFuzzerTestOneInput(input, size);
}

int main(int argc, char **argv)
{
    const char *much = argc > 1 ? argv[1] : "10";
    bool counts = strchr(much, 'x') != NULL;
    uint64_t wanted = strtoull(much, NULL, 10), random = test_seed(), done = 0;
    time_t end = time(NULL) + (time_t)wanted;
    for (int i = 2; i < argc; i++)
        run_file(argv[i]);
    for (; counts ? done < wanted : time(NULL) < end; done++)
        run_random(&random);
    printf("%d inputs of the corpus, %llu random ones, %llu operations, %llu items: nothing found\n",
           argc > 2 ? argc - 2 : 0, (unsigned long long)done, (unsigned long long)world.started,
           (unsigned long long)world.items);
    return 0;
}

#endif
