package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// usage is what a process has used so far.
type usage struct {
	processor      time.Duration
	mallocs, bytes float64 // allocated, freed or not
}

// usage reads the processor time of a contender, and its allocations if the contender
// reports any.
func (t *target) usage(ctx context.Context) (u usage, err error) {
	if t.metrics != "" {
		if u.mallocs, u.bytes, err = allocations(ctx, t.metrics); err != nil {
			return u, err
		}
	}
	u.processor, err = t.processorTime()
	return u, err
}

// The names of Go's allocations in the format of Prometheus.
const (
	mallocsMetric = "go_memstats_mallocs_total"
	bytesMetric   = "go_memstats_alloc_bytes_total"
)

func allocations(ctx context.Context, url string) (mallocs, bytes float64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = response.Body.Close() }()
	found := map[string]float64{}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok && (name == mallocsMetric || name == bytesMetric) {
			if found[name], err = strconv.ParseFloat(value, 64); err != nil {
				return 0, 0, err
			}
		}
	}
	if len(found) != 2 {
		return 0, 0, fmt.Errorf("%s has no %s and %s", url, mallocsMetric, bytesMetric)
	}
	return found[mallocsMetric], found[bytesMetric], nil
}

// serveAllocations serves the allocations of this process.
func serveAllocations(w http.ResponseWriter, _ *http.Request) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	_, _ = io.WriteString(w, fmt.Sprintf("%s %d\n%s %d\n", mallocsMetric, m.Mallocs, bytesMetric, m.TotalAlloc)) // an error means that the bench is gone
}

// processorTime is the processor time of the process so far: fields 14 and 15 of
// /proc/PID/stat, in hundredths of a second (proc_pid_stat(5)).
func (t *target) processorTime() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", t.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // the name may have spaces; field 3 is the first after the name
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat has no processor time")
	}
	user, errUser := strconv.Atoi(string(fields[11]))
	system, errSystem := strconv.Atoi(string(fields[12]))
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(errUser, errSystem)
}

// idleFor is how long a process idles before its memory counts beside another
// process.
const idleFor = 5 * time.Second

// idleMemory is the resident memory of a process that was idle for some time (VmRSS,
// see proc_pid_status(5)), in bytes.
func (t *target) idleMemory(ctx context.Context, idle time.Duration) (bytes float64, err error) {
	select {
	case <-time.After(idle):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", t.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	found := residentSize.FindSubmatch(status)
	if found == nil {
		return 0, errors.New("/proc/PID/status has no VmRSS")
	}
	kibibytes, err := strconv.ParseFloat(string(found[1]), 64)
	return kibibytes * 1024, err
}

var residentSize = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)
