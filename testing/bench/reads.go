package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// readFor is the length of a run.
	readFor = 3 * time.Second
	// readUsers is the largest number of users to read.
	readUsers = 100_000
	// readWrites is the number of commands a second during reads.
	readWrites = 1000
)

// reads is the number of users, and of pages of 1,000 users, that the clients read in
// a second, with and without commands coming in. The limit is a handler that writes
// the same bytes without a database.
func reads(ctx context.Context, b *bench) (rows []row, err error) {
	err = inFolder(func(dir string) error {
		limit, err := bare.start(ctx, dir)
		if err != nil {
			return err
		}
		defer limit.stop()
		ours, err := startMillrace(ctx, dir)
		if err != nil {
			return err
		}
		defer ours.stop()
		n := min(b.users, readUsers)
		if err := closedLoop(ctx, ours.commands, b.clients, n); err != nil {
			return err
		}
		if err := ours.drained(ctx, n); err != nil {
			return err
		}
		r := &reading{clients: b.clients, users: n, next: int64(n)}
		for _, kind := range []struct {
			what, limit, path string
			writes, beside    bool // commands come in, and beside the limit too
			goal              goal
		}{
			{"GET a user", "bare HTTP", "/users/%d", false, false, goal{}},
			{fmt.Sprintf("GET a user, %d commands/s come in", readWrites), "bare HTTP beside as many", "/users/%d", true, true, atLeast(0.5, 0.5)},
			{fmt.Sprintf("GET a user, %d commands/s come in", readWrites), "bare HTTP alone", "/users/%d", true, false, goal{}},
			{"GET 1,000 users", "bare HTTP", "/users?limit=1000", false, false, goal{}},
		} {
			var made, bare []read
			for range b.runs {
				writes, beside := "", ""
				if kind.writes {
					writes = ours.commands
				}
				if kind.beside {
					beside = ours.commands
				}
				one, err := r.run(ctx, limit.queries+kind.path, beside)
				if err != nil {
					return err
				}
				bare = append(bare, one)
				if one, err = r.run(ctx, ours.queries+kind.path, writes); err != nil {
					return err
				}
				made = append(made, one)
			}
			got, most := medianRead(made), medianRead(bare)
			rows = append(rows, row{kind.what, got.String(), named(kind.limit, most.String()), got.perSecond / most.perSecond, kind.goal})
		}
		return nil
	})
	return rows, err
}

// read is the result of a run of reads.
type read struct{ perSecond, megabytes, p99 float64 }

func (r read) String() string {
	return fmt.Sprintf("%.0f/s, %.1f MB/s, p99 %.1f ms", r.perSecond, r.megabytes, r.p99)
}

func medianRead(runs []read) read {
	of := func(value func(read) float64) float64 {
		var values []float64
		for _, r := range runs {
			values = append(values, value(r))
		}
		return median(values)
	}
	return read{
		of(func(r read) float64 { return r.perSecond }),
		of(func(r read) float64 { return r.megabytes }),
		of(func(r read) float64 { return r.p99 }),
	}
}

// reading is the clients: readers, and a writer.
type reading struct {
	clients, users int
	next           int64 // the last created user
}

// run reads for readFor. Commands go to the URL writes meanwhile, if there is a URL.
func (r *reading) run(ctx context.Context, url, writes string) (read, error) {
	client := newClient(r.clients)
	defer client.CloseIdleConnections()
	ctx, stop := context.WithTimeout(ctx, readFor+10*time.Second)
	defer stop()
	work, ctx := errgroup.WithContext(ctx)
	until := time.Now().Add(readFor)
	if writes != "" {
		work.Go(func() error { return r.write(ctx, writes, until) })
	}
	var mu sync.Mutex
	var took []float64
	var bytes atomic.Int64
	for range r.clients {
		work.Go(func() error {
			var own []float64
			for time.Now().Before(until) {
				target := url
				if url[len(url)-1] == 'd' { // %d
					target = fmt.Sprintf(url, rand.IntN(r.users)+1)
				}
				began := time.Now()
				n, err := fetch(ctx, client, target)
				if err != nil {
					return err
				}
				own = append(own, time.Since(began).Seconds()*1000)
				bytes.Add(n)
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, own...)
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		return read{}, err
	}
	return read{float64(len(took)) / readFor.Seconds(), float64(bytes.Load()) / 1e6 / readFor.Seconds(), quantile(took, 0.99)}, nil
}

// write sends commands at a fixed rate: a command doesn't wait for the last command.
func (r *reading) write(ctx context.Context, url string, until time.Time) error {
	client := newClient(r.clients)
	defer client.CloseIdleConnections()
	work, ctx := errgroup.WithContext(ctx)
	tick := time.NewTicker(time.Second / readWrites)
	defer tick.Stop()
	for time.Now().Before(until) {
		<-tick.C
		r.next++
		n := r.next
		work.Go(func() error {
			_, err := post(ctx, client, url, n)
			return err
		})
	}
	return work.Wait()
}

// fetch reads an answer, and returns the length.
func fetch(ctx context.Context, client *http.Client, url string) (int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Accept-Encoding", "identity")
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("GET %s: %s", url, response.Status)
	}
	return io.Copy(io.Discard, response.Body)
}
