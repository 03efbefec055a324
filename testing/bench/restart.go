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

// restart is how long a process with so many users takes from its start until
// it is ready, from the ledger's snapshots and from the log alone, and what
// memory the ledger takes for a user.
func restart(ctx context.Context, b *bench) (rows []row, err error) {
	err = inFolder(func(dir string) error {
		if err := fillUsers(ctx, dir, b); err != nil {
			return err
		}
		fromSnapshots, err := startTime(ctx, dir)
		if err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(dir, "data", "ledger")); err != nil {
			return err
		}
		fromLog, err := startTime(ctx, dir)
		if err != nil {
			return err
		}
		with, err := ledgerHeap(ctx, dir)
		if err != nil {
			return err
		}
		var without float64
		err = inFolder(func(empty string) (err error) {
			without, err = ledgerHeap(ctx, empty)
			return err
		})
		if err != nil {
			return err
		}
		users := fmt.Sprintf(", %d users", b.users)
		rows = []row{
			{"restart from snapshots" + users, fmt.Sprintf("%.2f s", fromSnapshots), fmt.Sprintf("from the log %.2f s", fromLog), fromSnapshots / fromLog, ""},
			{"memory of the ledger a user", fmt.Sprintf("%.0f bytes", (with-without)/float64(b.users)), "", 0, ""},
		}
		return nil
	})
	return rows, err
}

func fillUsers(ctx context.Context, dir string, b *bench) error {
	t, _, err := startMillrace(ctx, dir)
	if err != nil {
		return err
	}
	defer t.stop()
	if err := closedLoop(ctx, t.url, b.clients, b.users); err != nil {
		return err
	}
	return t.drained(ctx, b.users)
}

func startTime(ctx context.Context, dir string) (seconds float64, err error) {
	began := time.Now()
	t, _, err := startMillrace(ctx, dir)
	if err != nil {
		return 0, err
	}
	took := time.Since(began)
	t.stop()
	return took.Seconds(), nil
}

// ledgerHeap is what is alive in a command service that is ready and alone in
// its process, in bytes.
func ledgerHeap(ctx context.Context, dir string) (bytes float64, err error) {
	broker, urls, err := startMillrace(ctx, dir, "roles=broker")
	if err != nil {
		return 0, err
	}
	defer broker.stop()
	t, urls, err := startMillrace(ctx, dir, "roles=command-service", "kafka.brokers="+brokerOf(urls))
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
		return 0, errors.New("the heap's profile doesn't say how large it is")
	}
	return strconv.ParseFloat(string(found[1]), 64)
}

var heapAlloc = regexp.MustCompile(`# HeapAlloc = (\d+)`)
