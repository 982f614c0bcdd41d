/* SPDX-License-Identifier: Apache-2.0
 *
 * serial.c - what does it cost to submit an empty job to a serial queue, and to run it there?
 */
#include "load.h"

static weir_queue serial_open(weir_app app)
{
    weir_queue queue;
    bench_must(weir_queue_open(weir_app_queue(app, WEIR_NORMAL), NULL, &queue), "open a serial queue");
    return queue;
}

static void serial_close(weir_app app, weir_queue queue)
{
    bench_must(weir_queue_close(queue, false, NULL), "close a serial queue");
    bench_app_close(app);
}

static void measure_feed(const char *row, uint32_t workers, unsigned producers)
{
    weir_app app = bench_app_open(workers);
    struct feed feed = { .queue = serial_open(app), .producers = producers, .backlog = 16384 };
    feed.jobs = bench_count(2000000);
    bench_sample(row, "ns/job", feed_run(&feed));
    serial_close(app, feed.queue);
}

static void measure_burst(const char *row, size_t size)
{
    weir_app app = bench_app_open(1);
    weir_queue queue = serial_open(app);
    bench_sample(row, "ns/job", burst_run(queue, size, bench_count(3000000)));
    serial_close(app, queue);
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    measure_feed("1 producer 1 worker", 1, 1);
    measure_feed("2 producers 2 workers", 2, 2);
    measure_burst("on a worker bursts of 64", 64);
    measure_burst("on a worker one that submits itself", 1);
    return 0;
}
