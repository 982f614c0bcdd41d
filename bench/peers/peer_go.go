// SPDX-License-Identifier: Apache-2.0

// Go: goroutines, on two processors. A scope is a context; queued operations are closures in a channel, which look at it
// when their turn comes; parked ones are goroutines that wait for its Done. A context for each was tried: slower.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

const name = "Go"

var quick = len(os.Args) > 1 && os.Args[1] == "--quick"

func count(full int) int {
	if quick {
		return full / 10
	}
	return full
}

func show(row, unit string, value float64) { fmt.Printf("%s,%s,%s,%.4g\n", name, row, unit, value) }

func per(began time.Time, n int) float64 {
	return float64(time.Since(began).Nanoseconds()) / float64(n)
}

func at(series []int64, percent int) float64 {
	sort.Slice(series, func(i, j int) bool { return series[i] < series[j] })
	return float64(series[(len(series)-1)*percent/100])
}

func spawnOnce(producers, jobs int) float64 {
	var over sync.WaitGroup
	over.Add(jobs)
	began := time.Now()
	var asking sync.WaitGroup
	for p := 0; p < producers; p++ {
		asking.Add(1)
		go func() {
			for i := 0; i < jobs/producers; i++ {
				go over.Done()
			}
			asking.Done()
		}()
	}
	asking.Wait()
	over.Wait()
	return per(began, jobs)
}

func spawn(producers int, row string) {
	spawnOnce(1, count(100000))
	show(row, "ns/job", spawnOnce(producers, count(1000000)))
}

func grow(depth int) {
	if depth == 0 {
		return
	}
	var left sync.WaitGroup
	left.Add(1)
	go func() {
		grow(depth - 1)
		left.Done()
	}()
	grow(depth - 1)
	left.Wait()
}

func tree() {
	depth := 20
	if quick {
		depth = 16
	}
	grow(depth - 4)
	began := time.Now()
	grow(depth)
	show("fork-join 2 workers", "ns/leaf", per(began, 1<<depth))
}

func wake() {
	series := make([]int64, 0, count(2000))
	random := uint32(1)
	for i := 0; i < count(2000); i++ {
		random = random*1664525 + 1013904223
		gap := time.Duration(50000 + random>>8%50000)
		for began := time.Now(); time.Since(began) < gap; {
		}
		var took int64
		began := time.Now()
		go func() { atomic.StoreInt64(&took, time.Since(began).Nanoseconds()+1) }()
		for atomic.LoadInt64(&took) == 0 {
		}
		series = append(series, took)
	}
	show("wake gap 50-100 us p50", "ns", at(series, 50))
	show("wake gap 50-100 us p99", "ns", at(series, 99))
}

func ping() {
	series := make([]int64, 0, count(20000))
	for i := 0; i < count(20000); i++ {
		var done int32
		began := time.Now()
		go func() { atomic.StoreInt32(&done, 1) }()
		for atomic.LoadInt32(&done) == 0 {
			runtime.Gosched()
		}
		series = append(series, time.Since(began).Nanoseconds())
	}
	show("ping-pong p50", "ns", at(series, 50))
}

func closeQueued(n int) float64 {
	scope, cancel := context.WithCancel(context.Background())
	queue := make(chan func(), n)
	open := make(chan struct{})
	var over sync.WaitGroup
	over.Add(n)
	go func() {
		<-open
		for operation := range queue {
			operation()
		}
	}()
	for i := 0; i < n; i++ {
		queue <- func() {
			if scope.Err() == nil {
				panic("an operation ran that should have been cancelled")
			}
			over.Done()
		}
	}
	began := time.Now()
	cancel()
	close(open)
	over.Wait()
	took := per(began, n)
	close(queue)
	return took
}

func closeParked(n int) float64 {
	scope, cancel := context.WithCancel(context.Background())
	var over, waiting sync.WaitGroup
	over.Add(n)
	waiting.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			waiting.Done()
			<-scope.Done()
			over.Done()
		}()
	}
	waiting.Wait()
	runtime.Gosched()
	began := time.Now()
	cancel()
	over.Wait()
	return per(began, n)
}

func ask(what string, measure func(int) float64, sizes ...int) {
	names := map[int]string{1000: "1e3", 100000: "1e5", 1000000: "1e6"}
	for _, n := range sizes {
		times := 4
		if n == 1000 {
			times = 22
		}
		least := measure(n)
		for ; times > 0; times-- {
			if next := measure(n); next < least {
				least = next
			}
		}
		show("close "+names[n]+" "+what, "ns/op", least)
	}
}

func cycle() {
	times := count(20000)
	began := time.Now()
	for i := 0; i < times; i++ {
		_, cancel := context.WithCancel(context.Background())
		var over sync.WaitGroup
		over.Add(1)
		go over.Done()
		over.Wait()
		cancel()
	}
	show("open one operation close", "ns", per(began, times))
}

func main() {
	runtime.GOMAXPROCS(2)
	spawn(1, "spawn 1 producer 1 worker")
	spawn(2, "spawn 2 producers 2 workers")
	wake()
	ping()
	tree()
	cycle()
	runtime.GOMAXPROCS(1)
	if quick {
		ask("queued", closeQueued, 1000, 100000)
	} else {
		ask("queued", closeQueued, 1000, 100000, 1000000)
	}
	ask("parked", closeParked, 1000, 100000)
}
