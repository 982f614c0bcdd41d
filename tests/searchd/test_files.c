/* SPDX-License-Identifier: Apache-2.0 */
/* test_files.c - every kind of file, and files that change while they are read */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static struct server server;
static struct client client;
static struct answer answer;

static int start(void **state)
{
    if (tree_make(state) != 0)
        return -1;
    server_start(&server, "--workers", "2", (char *)NULL);
    return 0;
}

static int stop(void **state)
{
    server_stop(&server);
    return tree_remove(state);
}

static void search(const char *query)
{
    client_open(&client, &server);
    client_search(&client, query);
    assert_true(client_answer(&client, &answer));
    client_close(&client);
}

static void expect_done(const char *status)
{
    char text[64];
    (void)snprintf(text, sizeof text, "\"status\":\"%s\"", status);
    if (strstr(answer.done, text) == NULL)
        fail_msg("expected %s, got %s", status, answer.done);
}

static void a_match_says_where_it_is(void **state)
{
    (void)state;
    tree_file("where/deep/a.txt", "first\nthe \"second\"\tline\nthird");
    search("q=second.*&path=where");
    assert_string_equal(answer.first, "{\"file\":\"where/deep/a.txt\",\"line\":2,\"column\":6,"
                                      "\"text\":\"the \\\"second\\\"\\u0009line\"}");
    search("q=third$&path=where/deep/a.txt");
    assert_string_equal(answer.first, "{\"file\":\"where/deep/a.txt\",\"line\":3,\"column\":1,\"text\":\"third\"}");
    expect_done("complete");
}

static void what_is_no_utf8_is_replaced(void **state)
{
    (void)state;
    tree_file("bytes/a.txt", "gr\xfc\xdf gr\xc3\xbc\xc3\x9f \xf0\x9f\x8c\x8a \xed\xa0\x80 \xc0\xaf\n");
    search("q=gr&path=bytes");
    assert_non_null(strstr(answer.first, "\"text\":\"gr\\ufffd\\ufffd gr\xc3\xbc\xc3\x9f \xf0\x9f\x8c\x8a "
                                         "\\ufffd\\ufffd\\ufffd \\ufffd\\ufffd\"}"));
}

static void every_file_is_searched_once(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "many/%d/%d/file-%d.txt", i % 7, i % 3, i);
        tree_file(name, "a needle\nno match\n");
    }
    search("q=needle&path=many");
    assert_int_equal(answer.matches, 300);
    assert_int_equal(answer.skipped, 0);
    assert_non_null(strstr(answer.done, "\"files\":300,\"matches\":300,\"skipped\":0"));
}

static void links_are_not_followed(void **state)
{
    (void)state;
    tree_file("links/real/a.txt", "needle\n");
    assert_int_equal(symlink("real/a.txt", tree_path("links/file")), 0);
    assert_int_equal(symlink("..", tree_path("links/up")), 0);
    assert_int_equal(symlink("/etc/passwd", tree_path("links/out")), 0);
    search("q=.&path=links");
    assert_int_equal(answer.matches, 1);
    assert_int_equal(answer.skipped, 3);
    assert_non_null(strstr(answer.skips, "{\"skipped\":\"links/out\",\"why\":\"link\"}"));
    char body[LINE_BYTES];
    assert_int_equal(request(&server, "GET", "/search?q=.&path=links/up", body), 404);
    assert_int_equal(request(&server, "GET", "/search?q=.&path=links/out", body), 404);
}

static void fifos_and_devices_are_not_opened(void **state)
{
    (void)state;
    tree_file("special/a.txt", "needle\n");
    assert_int_equal(mkfifo(tree_path("special/fifo"), 0600), 0);
    bool device = mknod(tree_path("special/null"), S_IFCHR | 0600, makedev(1, 3)) == 0;        /* needs to be root */
    search("q=needle&path=special");
    assert_int_equal(answer.matches, 1);
    assert_int_equal(answer.skipped, 1 + device);
    assert_non_null(strstr(answer.skips, "{\"skipped\":\"special/fifo\",\"why\":\"not a regular file\"}"));
}

static void what_may_not_be_read_is_said(void **state)
{
    (void)state;
    if (geteuid() == 0)
        skip();                                  /* root may read everything */
    tree_file("locked/a.txt", "needle\n");
    assert_int_equal(chmod(tree_path("locked/a.txt"), 0), 0);
    search("q=needle&path=locked");
    assert_non_null(strstr(answer.skips, "\"why\":\"permission denied\""));
}

static void binary_files_are_skipped_with_a_word(void **state)
{
    (void)state;
    static const char bytes[] = "needle\0needle\n";
    tree_file("binary/a.txt", "needle\n");
    FILE *file = fopen(tree_path("binary/b.bin"), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, sizeof bytes - 1, file), sizeof bytes - 1);
    assert_int_equal(fclose(file), 0);
    search("q=needle&path=binary");
    assert_int_equal(answer.matches, 1);
    assert_non_null(strstr(answer.skips, "{\"skipped\":\"binary/b.bin\",\"why\":\"binary\"}"));
}

static uint64_t resident_kib(void)
{
    char path[64], line[256];
    uint64_t kib = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)server.pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtoull(line + 6, NULL, 10);
    (void)fclose(file);
    return kib;
}

/* A line of 1 GB, of which the file system keeps the first 64 KB: what is left is a hole. */
static void a_line_of_a_gigabyte_takes_no_memory(void **state)
{
    (void)state;
    uint64_t before = resident_kib();
    tree_repeat("huge/a.txt", "needle and thread ", 64 * 1024 / 18);
    assert_int_equal(truncate(tree_path("huge/a.txt"), (off_t)1 << 30), 0);
    search("q=needle&path=huge");
    assert_true(answer.matches > 40);            /* one for each piece */
    assert_non_null(strstr(answer.first, "\"line\":1,\"column\":1,"));
    assert_non_null(strstr(answer.first, "\"piece\":true"));
    assert_non_null(strstr(answer.skips, "\"why\":\"binary\""));       /* where the hole begins */
    assert_true(resident_kib() < before + 64 * 1024);
}

static void a_long_line_is_searched_to_its_end(void **state)
{
    (void)state;
    tree_repeat("long/a.txt", "0123456789abcdef", 1024 * 1024);        /* 16 MB without a newline */
    FILE *file = fopen(tree_path("long/a.txt"), "a");
    assert_non_null(file);
    assert_true(fputs("needle\nneedle\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    search("q=needle&path=long");
    assert_int_equal(answer.matches, 2);
    assert_non_null(strstr(answer.first, "\"line\":1,\"column\":16777217,"));
    expect_done("complete");
}

static void an_expression_that_is_too_expensive_ends_the_search(void **state)
{
    (void)state;
    tree_repeat("expensive/a.txt", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", 100);
    search("q=(a%2Ba%2B)%2B%5Bbc%5D&path=expensive");
    expect_done("regex too expensive");
    search("q=a%2B&path=expensive");
    assert_int_equal(answer.matches, 100);
}

/* ---- files that change: the client does not read, so the scan is parked in the middle ---- */

static void park(const char *query)
{
    client_open_small(&client, &server);
    client_search(&client, query);
    uint64_t files = 0, before;
    do {                                         /* nothing moves any more when the counts stand still */
        before = files;
        wait_until(&server, "chunks_live", 1, UINT64_MAX);
        files = stats_of(&server, "files") + stats_of(&server, "chunks_posted");
    } while (files != before);
}

static void a_file_that_shrinks_ends_early(void **state)
{
    (void)state;
    tree_repeat("shrink/a.txt", "a line of some length that matches and matches\n", 100000);
    park("q=matches&path=shrink");
    assert_int_equal(truncate(tree_path("shrink/a.txt"), 100), 0);
    assert_true(client_answer(&client, &answer));
    client_close(&client);
    assert_true(answer.matches > 0 && answer.matches < 100000);
    assert_non_null(strstr(answer.skips, "\"why\":\"shrank while it was read\""));
    expect_done("complete");
}

static void files_that_vanish_are_said_to_have(void **state)
{
    (void)state;
    enum { FILES = 60 };
    char name[64];
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "vanish/%d.txt", i);
        tree_repeat(name, "a line of some length that matches and matches\n", 10000);
    }
    park("q=matches&path=vanish");
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "vanish/%d.txt", i);
        assert_int_equal(unlink(tree_path(name)), 0);
    }
    assert_true(client_answer(&client, &answer));
    client_close(&client);
    assert_true(answer.skipped > 0 && answer.skipped < FILES);
    assert_non_null(strstr(answer.skips, "\"why\":\"vanished\""));
    assert_int_equal(answer.matches, (FILES - answer.skipped) * 10000);
    expect_done("complete");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_match_says_where_it_is),
        cmocka_unit_test(what_is_no_utf8_is_replaced),
        cmocka_unit_test(every_file_is_searched_once),
        cmocka_unit_test(links_are_not_followed),
        cmocka_unit_test(fifos_and_devices_are_not_opened),
        cmocka_unit_test(what_may_not_be_read_is_said),
        cmocka_unit_test(binary_files_are_skipped_with_a_word),
        cmocka_unit_test(a_line_of_a_gigabyte_takes_no_memory),
        cmocka_unit_test(a_long_line_is_searched_to_its_end),
        cmocka_unit_test(an_expression_that_is_too_expensive_ends_the_search),
        cmocka_unit_test(a_file_that_shrinks_ends_early),
        cmocka_unit_test(files_that_vanish_are_said_to_have),
    };
    return cmocka_run_group_tests_name("searchd.files", tests, start, stop);
}
