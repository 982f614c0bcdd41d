// SPDX-License-Identifier: Apache-2.0

import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.FutureTask;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RecursiveAction;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Java: a ForkJoinPool for jobs and trees; operations are FutureTasks, whose cancel calls done() on the canceller's
 * thread. ThreadPoolExecutor.shutdownNow and CompletableFuture were tried: slower. The JIT is warm: every question is
 * asked several times, and the best answer counts.
 */
public final class Peer {
    static boolean quick;
    static int ended;

    static void show(String row, String unit, double value) {
        System.out.printf("Java,%s,%s,%.4g%n", row, unit, value);
    }

    static int count(int full) {
        return quick ? full / 10 : full;
    }

    static double spawnOnce(ExecutorService pool, int producers, int jobs) throws Exception {
        AtomicInteger left = new AtomicInteger(jobs);
        CountDownLatch over = new CountDownLatch(1);
        Runnable job = () -> {
            if (left.decrementAndGet() == 0)
                over.countDown();
        };
        Runnable produce = () -> {
            for (int i = 0; i < jobs / producers; i++)
                pool.execute(job);
        };
        Thread[] others = new Thread[producers - 1];
        long began = System.nanoTime();
        for (int i = 0; i < others.length; i++)
            (others[i] = new Thread(produce)).start();
        produce.run();
        over.await();
        double took = System.nanoTime() - began;
        for (Thread other : others)
            other.join();
        return took / jobs;
    }

    static void spawn(int producers, int workers, String row) throws Exception {
        ForkJoinPool pool = new ForkJoinPool(workers, ForkJoinPool.defaultForkJoinWorkerThreadFactory, null, true);
        double least = Double.MAX_VALUE;
        for (int i = 0; i < 6; i++)
            least = Math.min(least, spawnOnce(pool, producers, count(1000000)));
        show(row, "ns/job", least);
        pool.shutdown();
    }

    static final class Tree extends RecursiveAction {
        final int depth;

        Tree(int depth) {
            this.depth = depth;
        }

        @Override
        protected void compute() {
            if (depth == 0)
                return;
            Tree left = new Tree(depth - 1);
            left.fork();
            new Tree(depth - 1).compute();
            left.join();
        }
    }

    static void tree() {
        ForkJoinPool pool = new ForkJoinPool(2);
        int depth = quick ? 16 : 20;
        double least = Double.MAX_VALUE;
        for (int i = 0; i < 6; i++) {
            long began = System.nanoTime();
            pool.invoke(new Tree(depth));
            least = Math.min(least, (System.nanoTime() - began) / (double) (1 << depth));
        }
        show("fork-join 2 workers", "ns/leaf", least);
        pool.shutdown();
    }

    static double at(long[] series, int percent) {
        Arrays.sort(series);
        return series[(series.length - 1) * percent / 100];
    }

    static volatile long told;

    static void wake() {
        ForkJoinPool pool = new ForkJoinPool(1);
        long[] series = new long[count(2000)];
        int random = 1;
        for (int i = 0; i < series.length; i++) {
            random = random * 1664525 + 1013904223;
            long gap = 50000 + (random >>> 8) % 50000;
            for (long began = System.nanoTime(); System.nanoTime() - began < gap;)
                Thread.onSpinWait();
            told = 0;
            long submitted = System.nanoTime();
            pool.execute(() -> told = System.nanoTime() - submitted + 1);
            while (told == 0)
                Thread.onSpinWait();
            series[i] = told;
        }
        show("wake gap 50-100 us p50", "ns", at(series, 50));
        show("wake gap 50-100 us p99", "ns", at(series, 99));
        long[] pings = new long[count(20000)];
        for (int i = 0; i < pings.length; i++) {
            told = 0;
            long began = System.nanoTime();
            pool.execute(() -> told = 1);
            while (told == 0)
                Thread.onSpinWait();
            pings[i] = System.nanoTime() - began;
        }
        show("ping-pong p50", "ns", at(pings, 50));
        pool.shutdown();
    }

    static final class Operation extends FutureTask<Void> {
        Operation() {
            super(() -> {
                throw new IllegalStateException("an operation ran that should have been cancelled");
            });
        }

        @Override
        protected void done() {
            ended++;
        }
    }

    static double close(int operations, boolean queued) throws Exception {
        ThreadPoolExecutor pool = new ThreadPoolExecutor(1, 1, 0, TimeUnit.SECONDS, new LinkedBlockingQueue<>());
        CountDownLatch entered = new CountDownLatch(1), opened = new CountDownLatch(1);
        pool.execute(() -> {
            entered.countDown();
            try {
                opened.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        entered.await();
        Operation[] operation = new Operation[operations];
        for (int i = 0; i < operations; i++) {
            operation[i] = new Operation();
            if (queued)
                pool.execute(operation[i]);
        }
        ended = 0;
        long began = System.nanoTime();
        for (Operation one : operation)
            one.cancel(false);
        double took = System.nanoTime() - began;
        if (ended != operations)
            throw new IllegalStateException("not all have ended");
        opened.countDown();
        pool.shutdown();
        pool.awaitTermination(1, TimeUnit.MINUTES);
        return took / operations;
    }

    static void ask(String what, boolean queued, int operations, String name) throws Exception {
        double least = Double.MAX_VALUE;
        for (int i = 0; i < (operations == 1000 ? 200 : 6); i++)
            least = Math.min(least, close(operations, queued));
        show("close " + name + " " + what, "ns/op", least);
    }

    static void cycle() throws Exception {
        ForkJoinPool pool = new ForkJoinPool(1);
        int times = count(20000);
        long began = System.nanoTime();
        for (int i = 0; i < times; i++)
            pool.submit(() -> { }).get();
        show("open one operation close", "ns", (System.nanoTime() - began) / (double) times);
        pool.shutdown();
    }

    public static void main(String[] args) throws Exception {
        quick = args.length > 0 && args[0].equals("--quick");
        spawn(1, 1, "spawn 1 producer 1 worker");
        spawn(2, 2, "spawn 2 producers 2 workers");
        wake();
        tree();
        cycle();
        ask("queued", true, 1000, "1e3");
        ask("queued", true, 100000, "1e5");
        if (!quick)
            ask("queued", true, 1000000, "1e6");
        ask("parked", false, 1000, "1e3");
        ask("parked", false, 100000, "1e5");
    }
}
