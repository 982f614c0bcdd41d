/* SPDX-License-Identifier: Apache-2.0 */
/* test_http.c - what is asked wrongly, too much of it, and what else clients do */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

static struct server server;

static int start(void **state)
{
    if (tree_make(state) != 0)
        return -1;
    tree_file("small/a.txt", "one needle\n");
    tree_repeat("large.txt", "line after line of text, and each one matches\n", 200000);
    server_start(&server, "--workers", "2", (char *)NULL);
    return 0;
}

static int stop(void **state)
{
    if (server.pid != 0)
        server_stop(&server);
    return tree_remove(state);
}

static void expect(const char *method, const char *target, int status, const char *word)
{
    char body[LINE_BYTES];
    int got = request(&server, method, target, body);
    if (got != status || strstr(body, word) == NULL)
        fail_msg("%s %s: %d %s", method, target, got, body);
}

/* After whatever happened, others are served. */
static void expect_undisturbed(void)
{
    static struct client client;
    struct answer answer;
    client_open(&client, &server);
    client_search(&client, "q=needle&path=small");
    assert_true(client_answer(&client, &answer));
    assert_int_equal(answer.matches, 1);
    client_close(&client);
}

static void wrong_requests_get_an_error_that_says_why(void **state)
{
    (void)state;
    expect("GET", "/search", 400, "q=REGEX");
    expect("GET", "/search?q=", 400, "q is missing");
    expect("GET", "/search?q=(", 400, "bad regex: missing closing parenthesis");
    expect("GET", "/search?q=a%00b", 400, "expected");
    expect("GET", "/search?q=a&deadline_ms=soon", 400, "deadline_ms");
    expect("GET", "/search?q=a&deadline_ms=0", 400, "deadline_ms");
    expect("GET", "/search?q=a&path=nowhere", 404, "no such directory");
    expect("DELETE", "/search/0123456789abcdef", 404, "no such search");
    expect("DELETE", "/search/x", 404, "no such search");
    expect("GET", "/elsewhere", 404, "no such page");
    expect("POST", "/search?q=a", 405, "only GET");
    expect("GET", "/search/0123456789abcdef", 405, "only DELETE");
    expect("PUT", "/stats", 405, "only GET");
    expect("BREW", "/search?q=a", 501, "");
    expect_undisturbed();
}

static void a_path_stays_below_the_root(void **state)
{
    (void)state;
    expect("GET", "/search?q=a&path=..", 404, "below the root");
    expect("GET", "/search?q=a&path=small/../../", 404, "below the root");
    expect("GET", "/search?q=a&path=/etc", 404, "below the root");
    expect("GET", "/search?q=a&path=%2Fproc%2Fself%2Froot", 404, "below the root");
}

static void an_expression_of_more_than_a_kilobyte_is_refused(void **state)
{
    (void)state;
    char target[2200] = "/search?q=";
    size_t head = strlen(target);
    memset(target + head, 'a', 1025);
    target[head + 1025] = 0;
    expect("GET", target, 400, "bad regex");
}

static void figures_come_in_both_forms(void **state)
{
    (void)state;
    expect("GET", "/stats", 200, "\"cancel_running\":{\"count\":");
    expect("GET", "/metrics", 200, "# HELP searchd_connections");
}

/* Reads until the server ends the connection. */
static void expect_end(struct client *client)
{
    char line[LINE_BYTES];
    while (client_line(client, line))
        ;
}

static void a_head_of_more_than_eight_kilobytes_ends_the_connection(void **state)
{
    (void)state;
    static struct client client;
    char head[10000];
    memset(head, 'x', sizeof head - 1);
    head[sizeof head - 1] = 0;
    client_open(&client, &server);
    client_send(&client, "GET /stats HTTP/1.1\r\nX: %s\r\n\r\n", head);
    expect_end(&client);
    client_close(&client);
    client_open(&client, &server);
    client_send(&client, "GET /%s", head);       /* a first line that has no end */
    expect_end(&client);
    client_close(&client);
    expect_undisturbed();
}

static void a_client_that_sends_too_much_ahead_is_cut_off(void **state)
{
    (void)state;
    static struct client client;
    static char ahead[1024];
    uint64_t cancelled = stats_of(&server, "searches_cancelled");
    client_open_small(&client, &server);
    client_search(&client, "q=.");
    memset(ahead, 'x', sizeof ahead);
    for (int i = 0; i < 1024; i++)
        if (send(client.fd, ahead, sizeof ahead, MSG_NOSIGNAL) < 0)
            break;
    wait_until(&server, "searches_cancelled", cancelled + 1, cancelled + 1);
    client_close(&client);
    expect_undisturbed();
}

static void a_few_requests_ahead_are_answered_in_turn(void **state)
{
    (void)state;
    static struct client client;
    struct answer answer;
    client_open(&client, &server);
    for (int i = 0; i < 8; i++)
        client_send(&client, "GET /search?q=needle&path=small HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for (int i = 0; i < 8; i++) {
        assert_true(client_answer(&client, &answer));
        assert_int_equal(answer.matches, 1);
    }
    client_close(&client);
}

static void a_half_closed_client_counts_as_gone(void **state)
{
    (void)state;
    static struct client client;
    uint64_t cancelled = stats_of(&server, "searches_cancelled");
    client_open_small(&client, &server);
    client_search(&client, "q=.");
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    wait_until(&server, "searches_cancelled", cancelled + 1, cancelled + 1);
    client_close(&client);
}

static void delete_cancels_one_search_and_its_answer_says_so(void **state)
{
    (void)state;
    static struct client one, other;
    struct answer answer;
    char target[64], body[LINE_BYTES];
    client_open_small(&one, &server);
    client_open_small(&other, &server);
    client_search(&one, "q=.&path=large.txt");
    client_search(&other, "q=.&path=large.txt");
    uint64_t cancelled = stats_of(&server, "searches_cancelled");
    (void)snprintf(target, sizeof target, "/search/%s", one.id);
    assert_int_equal(request(&server, "DELETE", target, body), 200);
    assert_non_null(strstr(body, "\"cancelled\":true"));
    assert_true(client_answer(&one, &answer));
    assert_non_null(strstr(answer.done, "\"status\":\"cancelled\""));
    expect("DELETE", target, 404, "it may be over");
    assert_int_equal(stats_of(&server, "searches_cancelled"), cancelled + 1);
    client_search(&one, "q=needle&path=small");          /* the connection serves on */
    assert_true(client_answer(&one, &answer));
    assert_int_equal(answer.matches, 1);
    assert_true(client_answer(&other, &answer));
    assert_non_null(strstr(answer.done, "\"status\":\"complete\""));
    assert_int_equal(answer.matches, 200000);
    client_close(&one);
    client_close(&other);
}

static void a_deadline_ends_a_search_whose_client_does_not_read(void **state)
{
    (void)state;
    static struct client client;
    struct answer answer;
    uint64_t timed_out = stats_of(&server, "searches_timed_out");
    client_open_small(&client, &server);
    client_search(&client, "q=.&deadline_ms=50");
    wait_until(&server, "searches_timed_out", timed_out + 1, timed_out + 1);
    assert_true(client_answer(&client, &answer));
    assert_non_null(strstr(answer.done, "\"status\":\"timed out\""));
    client_close(&client);
}

/* The work may run when its time is over, and stops by itself; the answer says the same. */
static void a_deadline_ends_a_search_whose_client_reads(void **state)
{
    (void)state;
    static struct client client;
    struct answer answer;
    client_open(&client, &server);
    for (int i = 0; i < 20; i++) {
        client_search(&client, i % 2 == 0 ? "q=.&path=large.txt&deadline_ms=1" : "q=.&path=large.txt&deadline_ms=5");
        assert_true(client_answer(&client, &answer));
        assert_non_null(strstr(answer.done, "\"status\":\"timed out\""));
        assert_true(answer.matches < 200000);
    }
    client_close(&client);
}

static void an_old_client_gets_its_answer_without_chunks(void **state)
{
    (void)state;
    static struct client client;
    struct answer answer;
    client_open(&client, &server);
    client_send(&client, "GET /search?q=needle&path=small HTTP/1.0\r\n\r\n");
    assert_true(client_answer(&client, &answer));
    assert_int_equal(answer.matches, 1);
    expect_end(&client);
    client_close(&client);
}

/* Its limits are the test's own from here on, so this is the last one. */
static void when_descriptors_do_not_suffice_searches_are_refused_in_time(void **state)
{
    (void)state;
    enum { DESCRIPTORS = 160, SEARCHES = (160 - 64) / 6 };
    static struct client client[SEARCHES];
    struct rlimit limit = {.rlim_cur = DESCRIPTORS, .rlim_max = DESCRIPTORS};
    struct server small;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    server_stop(&server);                        /* one at a time */
    server_start(&small, (char *)NULL);
    assert_int_equal(stats_of(&small, "descriptors"), DESCRIPTORS);
    for (int i = 0; i < SEARCHES; i++) {
        client_open_small(&client[i], &small);
        client_search(&client[i], "q=.&path=large.txt");
    }
    char body[LINE_BYTES];
    assert_int_equal(request(&small, "GET", "/search?q=a", body), 503);
    assert_non_null(strstr(body, "too many searches: 16"));
    for (int i = 0; i < SEARCHES; i++)
        client_close(&client[i]);
    server_stop(&small);
    server.pid = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_requests_get_an_error_that_says_why),
        cmocka_unit_test(a_path_stays_below_the_root),
        cmocka_unit_test(an_expression_of_more_than_a_kilobyte_is_refused),
        cmocka_unit_test(figures_come_in_both_forms),
        cmocka_unit_test(a_head_of_more_than_eight_kilobytes_ends_the_connection),
        cmocka_unit_test(a_client_that_sends_too_much_ahead_is_cut_off),
        cmocka_unit_test(a_few_requests_ahead_are_answered_in_turn),
        cmocka_unit_test(a_half_closed_client_counts_as_gone),
        cmocka_unit_test(delete_cancels_one_search_and_its_answer_says_so),
        cmocka_unit_test(a_deadline_ends_a_search_whose_client_does_not_read),
        cmocka_unit_test(a_deadline_ends_a_search_whose_client_reads),
        cmocka_unit_test(an_old_client_gets_its_answer_without_chunks),
        cmocka_unit_test(when_descriptors_do_not_suffice_searches_are_refused_in_time),
    };
    return cmocka_run_group_tests_name("searchd.http", tests, start, stop);
}
