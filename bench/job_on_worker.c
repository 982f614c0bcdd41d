/* SPDX-License-Identifier: Apache-2.0
 *
 * job_on_worker.c - what does it cost a job to submit an empty job to its own queue, and to run it? One worker.
 */
#include "load.h"

static void measure_burst(const char *row, size_t size)
{
    weir_app app = bench_app_open(1);
    bench_sample(row, "ns/job", burst_run(weir_app_queue(app, WEIR_NORMAL), size, bench_count(5000000)));
    bench_app_close(app);
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    measure_burst("bursts of 64", 64);
    measure_burst("bursts of 2000", 2000);
    measure_burst("one that submits itself", 1);
    return 0;
}
