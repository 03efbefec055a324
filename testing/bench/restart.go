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
// process is ready, from the state store on disk and from the log alone; the
// memory of the state store for a user; and the memory of the idle process.
func restart(ctx context.Context, b *bench) (rows []row, err error) {
	err = inFolder(func(dir string) error {
		filled, err := fillUsers(ctx, dir, b, idleFor)
		if err != nil {
			return err
		}
		fromDisk, restarted, err := startTime(ctx, dir)
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
			{"restart from the state store" + users, fmt.Sprintf("%.2f s", fromDisk), fmt.Sprintf("from the log %.2f s", fromLog), fromDisk / fromLog, goal{}},
			{"memory of the idle process" + users, megabytes(filled), named("after a restart", megabytes(restarted)), filled / restarted, goal{}},
			{"memory of the state store a user", fmt.Sprintf("%.0f bytes", (with-without)/float64(b.users)), "", 0, goal{}},
		}
		return nil
	})
	return rows, err
}

// goalUsers is the number of users of the goal for memory.
const goalUsers = 100_000

// memory is the resident memory of a process of all roles, some time after clients
// have created the users.
func memory(ctx context.Context, b *bench) ([]row, error) {
	var resident []float64
	for range b.runs {
		err := inFolder(func(dir string) error {
			bytes, err := fillUsers(ctx, dir, b, b.quiet)
			resident = append(resident, bytes)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	got, wanted := median(resident), goal{}
	if b.users == goalUsers {
		wanted = atMost(160, 220)
	}
	return []row{{fmt.Sprintf("memory of all roles, %d users, after %s of quiet", b.users, b.quiet), megabytes(got), "", got / 1e6, wanted}}, nil
}

// fillUsers creates the users, and returns the memory of the process after some idle
// time.
func fillUsers(ctx context.Context, dir string, b *bench, idle time.Duration) (bytes float64, err error) {
	t, err := startMillrace(ctx, dir)
	if err != nil {
		return 0, err
	}
	defer t.stop()
	if err := closedLoop(ctx, t.commands, b.clients, b.users); err != nil {
		return 0, err
	}
	if err := t.drained(ctx, b.users); err != nil {
		return 0, err
	}
	return t.idleMemory(ctx, idle)
}

// startTime is the time of a start, and the memory of the process then.
func startTime(ctx context.Context, dir string) (seconds, bytes float64, err error) {
	began := time.Now()
	t, err := startMillrace(ctx, dir)
	if err != nil {
		return 0, 0, err
	}
	defer t.stop()
	took := time.Since(began)
	bytes, err = t.idleMemory(ctx, idleFor)
	return took.Seconds(), bytes, err
}

// stateHeap is the live heap of a ready command service without other roles, in
// bytes.
func stateHeap(ctx context.Context, dir string) (bytes float64, err error) {
	settings := []string{"roles=command-service"}
	if realBrokers() == nil {
		broker, err := startMillrace(ctx, dir, "roles=broker")
		if err != nil {
			return 0, err
		}
		defer broker.stop()
		settings = append(settings, "kafka.brokers="+logAt(dir, broker).Brokers[0])
	}
	t, err := startMillrace(ctx, dir, settings...)
	if err != nil {
		return 0, err
	}
	defer t.stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.urls["admin"]+"/debug/pprof/heap?gc=1&debug=1", http.NoBody)
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
