package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// restart measures a process with many users: the time from the start until the
// process is ready, from snapshots of the state store and from the log alone; the
// memory of the state store for a user; and the memory of the idle process.
func restart(ctx context.Context, b *bench) (rows []row, err error) {
	err = inFolder(func(dir string) error {
		filled, err := fillUsers(ctx, dir, b)
		if err != nil {
			return err
		}
		fromSnapshots, restarted, err := startTime(ctx, dir)
		if err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(dir, "data", "state")); err != nil {
			return err
		}
		fromLog, _, err := startTime(ctx, dir)
		if err != nil {
			return err
		}
		with, err := stateHeap(ctx, dir)
		if err != nil {
			return err
		}
		var without float64
		err = inFolder(func(empty string) (err error) {
			without, err = stateHeap(ctx, empty)
			return err
		})
		if err != nil {
			return err
		}
		users := fmt.Sprintf(", %d users", b.users)
		rows = []row{
			{"restart from snapshots" + users, fmt.Sprintf("%.2f s", fromSnapshots), fmt.Sprintf("from the log %.2f s", fromLog), fromSnapshots / fromLog, ""},
			{"memory of the idle process" + users, fmt.Sprintf("%.0f MB", filled/1e6), fmt.Sprintf("after a restart %.0f MB", restarted/1e6), filled / restarted, ""},
			{"memory of the state store a user", fmt.Sprintf("%.0f bytes", (with-without)/float64(b.users)), "", 0, ""},
		}
		return nil
	})
	return rows, err
}

// fillUsers creates the users, and returns the memory of the process then.
func fillUsers(ctx context.Context, dir string, b *bench) (bytes float64, err error) {
	t, _, err := startMillrace(ctx, dir)
	if err != nil {
		return 0, err
	}
	defer t.stop()
	if err := closedLoop(ctx, t.url, b.clients, b.users); err != nil {
		return 0, err
	}
	if err := t.drained(ctx, b.users); err != nil {
		return 0, err
	}
	return t.idleMemory(ctx)
}

// startTime is the time of a start, and the memory of the process then.
func startTime(ctx context.Context, dir string) (seconds, bytes float64, err error) {
	began := time.Now()
	t, _, err := startMillrace(ctx, dir)
	if err != nil {
		return 0, 0, err
	}
	defer t.stop()
	took := time.Since(began)
	bytes, err = t.idleMemory(ctx)
	return took.Seconds(), bytes, err
}

// idleFor is how long a process idles before its memory counts.
const idleFor = 5 * time.Second

// idleMemory is the resident memory of the idle process (VmRSS, see
// proc_pid_status(5)), in bytes.
func (t *target) idleMemory(ctx context.Context) (bytes float64, err error) {
	select {
	case <-time.After(idleFor):
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

// stateHeap is the live heap of a ready command service without other roles, in
// bytes.
func stateHeap(ctx context.Context, dir string) (bytes float64, err error) {
	settings := []string{"roles=command-service"}
	if realBrokers() == nil {
		broker, urls, err := startMillrace(ctx, dir, "roles=broker")
		if err != nil {
			return 0, err
		}
		defer broker.stop()
		settings = append(settings, "kafka.brokers="+logAt(dir, urls).Brokers[0])
	}
	t, urls, err := startMillrace(ctx, dir, settings...)
	if err != nil {
		return 0, err
	}
	defer t.stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, urls["admin"]+"/debug/pprof/heap?gc=1&debug=1", http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	found := heapAlloc.FindSubmatch(text)
	if found == nil {
		return 0, errors.New("the heap profile has no HeapAlloc")
	}
	return strconv.ParseFloat(string(found[1]), 64)
}

var heapAlloc = regexp.MustCompile(`# HeapAlloc = (\d+)`)
