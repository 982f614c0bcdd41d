/* SPDX-License-Identifier: Apache-2.0 */
/* test_crowd.c - many clients: that stop reading, that vanish, that are there when the server ends */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/searchd/chunk.h"
#include "examples/searchd/search.h"

enum { FILES = 64, LINES = 8000, CROWD = 1000, STOPPED = 100 };

static struct server server;
static struct client *crowd;

static int start(void **state)
{
    if (tree_make(state) != 0)
        return -1;
    for (int i = 0; i < FILES; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "large/%d/%d.txt", i % 4, i);
        tree_repeat(name, "a line of some length that matches and matches\n", LINES);
    }
    tree_repeat("small/a.txt", "a needle\n", 3);
    crowd = calloc(CROWD, sizeof *crowd);
    return crowd == NULL ? -1 : 0;
}

static int stop(void **state)
{
    free(crowd);
    return tree_remove(state);
}

/* A search whose answer nobody reads. */
static void stop_reading(struct client *client)
{
    client_open_small(client, &server);
    client_search(client, "q=.&path=large");
}

static void search_small(struct client *client)
{
    struct answer answer;
    client_search(client, "q=needle&path=small");
    assert_true(client_answer(client, &answer));
    assert_int_equal(answer.matches, 3);
}

static void expect_quiet(unsigned descriptors, unsigned threads)
{
    wait_until(&server, "searches_live", 0, 0);
    wait_until(&server, "sessions", 0, 0);
    wait_until(&server, "operations_live", 0, 0);
    wait_until(&server, "connections", 0, 1);                  /* the one that asks */
    assert_int_equal(stats_of(&server, "chunks_live"), 0);
    assert_int_equal(stats_of(&server, "chunk_bytes"), 0);
    assert_int_equal(stats_of(&server, "files_open"), 0);
    wait_for_entries(&server, "fd", descriptors);
    wait_for_entries(&server, "task", threads);
}

static void the_first_match_is_there_before_the_last_file_is_opened(void **state)
{
    (void)state;
    char line[LINE_BYTES];
    struct answer answer;
    server_start(&server, "--workers", "2", (char *)NULL);
    stop_reading(&crowd[0]);
    do
        assert_true(client_line(&crowd[0], line));
    while (strncmp(line, "{\"file\":", 8) != 0);
    assert_true(stats_of(&server, "files") < FILES);
    assert_true(client_answer(&crowd[0], &answer));
    assert_int_equal(answer.matches + 1, FILES * LINES);
    client_close(&crowd[0]);
    server_stop(&server);
}

static void a_reader_that_stops_keeps_memory_below_its_window(void **state)
{
    (void)state;
    server_start(&server, "--workers", "2", (char *)NULL);
    stop_reading(&crowd[0]);
    wait_until(&server, "chunks_live", SCANS_AT_ONCE, SCANS_AT_ONCE);  /* one for each scan, and no more */
    uint64_t window = SCANS_AT_ONCE * 2 * sizeof(struct chunk);        /* and one that each is filling */
    assert_in_range(stats_of(&server, "chunk_bytes_most"), 1, window);
    assert_in_range(stats_of(&server, "files_open"), 1, SCANS_AT_ONCE);
    client_close(&crowd[0]);
    server_stop(&server);
}

static void with_one_worker_and_a_hundred_stopped_readers_a_patient_client_is_served(void **state)
{
    (void)state;
    server_start(&server, "--workers", "1", (char *)NULL);
    for (int i = 0; i < STOPPED; i++)
        stop_reading(&crowd[i]);
    client_open(&crowd[STOPPED], &server);
    search_small(&crowd[STOPPED]);
    wait_until(&server, "chunks_live", STOPPED * SCANS_AT_ONCE, STOPPED * SCANS_AT_ONCE);
    search_small(&crowd[STOPPED]);               /* also when every one of them is parked */
    assert_in_range(stats_of(&server, "chunk_bytes_most"), 1, (STOPPED + 1) * SCANS_AT_ONCE * 2 * sizeof(struct chunk));
    for (int i = 0; i <= STOPPED; i++)
        client_close(&crowd[i]);
    server_stop(&server);
}

static void a_thousand_connections_are_served_and_nothing_is_left_of_them(void **state)
{
    (void)state;
    server_start(&server, (char *)NULL);
    wait_until(&server, "connections", 0, 1);
    unsigned descriptors = server_entries(&server, "fd"), threads = server_entries(&server, "task");
    for (int i = 0; i < CROWD; i++)
        client_open(&crowd[i], &server);
    for (int i = 0; i < CROWD; i++)
        client_send(&crowd[i], "GET /search?q=needle&path=small HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for (int i = 0; i < CROWD; i++) {
        struct answer answer;
        assert_true(client_answer(&crowd[i], &answer));
        assert_int_equal(answer.matches, 3);
    }
    assert_int_equal(stats_of(&server, "connections"), CROWD + 1);
    assert_int_equal(stats_of(&server, "sessions"), CROWD);
    for (int i = 0; i < CROWD; i++)
        client_close(&crowd[i]);
    expect_quiet(descriptors, threads);
    assert_int_equal(stats_of(&server, "searches_complete"), CROWD);
    server_stop(&server);
}

static void of_clients_that_vanish_in_the_middle_nothing_is_left(void **state)
{
    (void)state;
    server_start(&server, "--workers", "2", (char *)NULL);
    wait_until(&server, "connections", 0, 1);
    unsigned descriptors = server_entries(&server, "fd"), threads = server_entries(&server, "task");
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < STOPPED; i++)
            stop_reading(&crowd[i]);
        for (int i = 0; i < STOPPED; i++)
            if (i % 2 == 0)
                client_close(&crowd[i]);
            else
                client_reset(&crowd[i]);
    }
    expect_quiet(descriptors, threads);
    assert_int_equal(stats_of(&server, "searches_cancelled"), 4 * STOPPED);
    server_stop(&server);
}

static void sigterm_under_load_ends_every_search_and_the_accounts_balance(void **state)
{
    (void)state;
    struct answer answer;
    server_start(&server, "--drain-ms", "100", (char *)NULL);
    for (int i = 0; i < 3 * STOPPED; i++)
        stop_reading(&crowd[i]);
    client_open(&crowd[3 * STOPPED], &server);
    search_small(&crowd[3 * STOPPED]);
    server_term(&server);
    assert_true(client_answer(&crowd[0], &answer));            /* reads again: what was there, and the last line */
    assert_non_null(strstr(answer.done, "\"status\":\"server closing\""));
    assert_int_equal(server_wait(&server), 0);                 /* with another code if an account did not balance */
    assert_int_equal(number_in(server.last, "in_flight_at_term"), 3 * STOPPED);
    assert_int_equal(number_in(server.last, "searches_live"), 0);
    assert_int_equal(number_in(server.last, "operations_live"), 0);
    for (int i = 0; i <= 3 * STOPPED; i++)
        client_close(&crowd[i]);
}

static void operations_that_end_by_themselves_are_waited_for(void **state)
{
    (void)state;
    struct answer answer;
    server_start(&server, "--drain-ms", "60000", (char *)NULL);
    client_open_small(&crowd[0], &server);
    client_search(&crowd[0], "q=.&path=large/0/0.txt");        /* one file: one scan, and it is under way */
    wait_until(&server, "chunks_live", 1, 1);
    stop_reading(&crowd[1]);                                   /* many: those that were not begun are left out */
    wait_until(&server, "chunks_live", 1 + SCANS_AT_ONCE, 1 + SCANS_AT_ONCE);
    server_term(&server);
    assert_true(client_answer(&crowd[0], &answer));
    assert_non_null(strstr(answer.done, "\"status\":\"complete\""));
    assert_int_equal(answer.matches, LINES);
    assert_true(client_answer(&crowd[1], &answer));
    assert_non_null(strstr(answer.done, "\"status\":\"server closing\""));
    assert_in_range(answer.matches, LINES, (FILES - 1) * LINES);
    assert_int_equal(server_wait(&server), 0);
    assert_int_equal(number_in(server.last, "operations_cancelled"), 1);       /* the walk that came too late */
    client_close(&crowd[0]);
    client_close(&crowd[1]);
}

/* GET /stats on a connection that was there before. */
static void ask_stats(struct client *client, char line[LINE_BYTES])
{
    client_send(client, "GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n");
    do
        assert_true(client_line(client, line));
    while (strncmp(line, "{\"phase\":", 9) != 0);
}

static void a_close_names_what_it_waits_for_and_a_second_signal_cancels(void **state)
{
    (void)state;
    char line[LINE_BYTES];
    server_start(&server, "--workers", "2", "--drain-ms", "60000", (char *)NULL);
    client_open(&crowd[1], &server);
    ask_stats(&crowd[1], line);
    assert_null(strstr(line, "\"blockers\""));
    stop_reading(&crowd[0]);
    wait_until(&server, "chunks_live", SCANS_AT_ONCE, SCANS_AT_ONCE);
    server_term(&server);
    do
        ask_stats(&crowd[1], line);
    while (strstr(line, "\"phase\":\"draining\"") == NULL);
    assert_in_range(number_in(line, "blockers_found"), SCANS_AT_ONCE, SCANS_AT_ONCE + 1);     /* and the walk */
    assert_non_null(strstr(line, "{\"operation\":\"scan\","));
    assert_non_null(strstr(line, "\"acknowledgement\""));
    client_send(&crowd[1], "GET /search?q=a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    do
        assert_true(client_line(&crowd[1], line));
    while (line[0] != '{');
    assert_non_null(strstr(line, "the server is closing"));
    server_term(&server);
    assert_int_equal(server_wait(&server), 0);
    assert_int_equal(number_in(server.last, "searches_cancelled"), 1);
    client_close(&crowd[0]);
    client_close(&crowd[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_match_is_there_before_the_last_file_is_opened),
        cmocka_unit_test(a_reader_that_stops_keeps_memory_below_its_window),
        cmocka_unit_test(with_one_worker_and_a_hundred_stopped_readers_a_patient_client_is_served),
        cmocka_unit_test(a_thousand_connections_are_served_and_nothing_is_left_of_them),
        cmocka_unit_test(of_clients_that_vanish_in_the_middle_nothing_is_left),
        cmocka_unit_test(sigterm_under_load_ends_every_search_and_the_accounts_balance),
        cmocka_unit_test(operations_that_end_by_themselves_are_waited_for),
        cmocka_unit_test(a_close_names_what_it_waits_for_and_a_second_signal_cancels),
    };
    return cmocka_run_group_tests_name("searchd.crowd", tests, start, stop);
}
