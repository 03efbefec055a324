package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// fewUsers is a number of users whose streams all fit into memory.
	fewUsers = 10_000
	// tailRecords is the number of records that a killed process has not folded.
	tailRecords = 10_000
	// outcomesAUser is the number of outcomes that a stream remembers by default.
	outcomesAUser = 128
)

// state measures the state store of a command service that has its process for
// itself: memory and disk by the number of users, the start after a kill, and the
// rate of random renames beside the rate with few users. With -users 10000000 a
// log of so many users is measured too.
func state(ctx context.Context, b *bench) (rows []row, err error) {
	sizes := []struct {
		users, outcomes int
		memory, disk    goal
	}{
		{1_000_000, 1, atMost(300, 400), atMost(250, 400)},
		{100_000, outcomesAUser, atMost(300, 400), atMost(9000, 9000)},
		{10_000_000, 1, atMost(450, 600), atMost(250, 400)},
	}
	for _, size := range sizes {
		if size.users > max(b.users, 1_000_000) && size.users > b.users {
			continue
		}
		var some []row
		err := inFolder(func(dir string) (err error) {
			s, err := newStateBench(ctx, dir, size.users)
			if err != nil {
				return err
			}
			defer s.close()
			some, err = s.measure(ctx, b, size.outcomes, size.memory, size.disk)
			return err
		})
		rows = append(rows, some...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// stateBench is a log, with a broker and a command service in processes of their
// own.
type stateBench struct {
	dir    string
	users  int
	log    *foldLog
	broker *target // nil on a real cluster
	target *target // nil while no command service runs
	stateRates
}

type stateRates struct {
	rates
	renamed int // renames so far
}

func newStateBench(ctx context.Context, dir string, users int) (*stateBench, error) {
	log, err := newFoldLog(ctx, dir)
	if err != nil {
		return nil, err
	}
	return &stateBench{dir: dir, users: users, log: log}, nil
}

func (s *stateBench) close() {
	if s.target != nil {
		s.target.stop()
	}
	if s.broker != nil {
		s.broker.stop()
	}
}

// fill writes the log, and starts the broker's process.
func (s *stateBench) fill(ctx context.Context, outcomes int) error {
	// Users with many outcomes take turns in groups: otherwise each record of the
	// fold would be of a user who has left the memory.
	group := s.users
	if outcomes > 1 {
		group = min(group, 1000)
	}
	for s.log.first = 0; s.log.first < s.users; s.log.first += group {
		s.log.n = 0
		if err := s.log.fill(group*outcomes, group); err != nil {
			return err
		}
	}
	s.log.first, s.log.n = 0, s.users // no user is created again
	if err := s.log.done(); err != nil {
		return err
	}
	if realBrokers() != nil {
		return nil
	}
	var err error
	if s.broker, err = startMillrace(ctx, s.dir, "roles=broker"); err == nil {
		s.log.Kafka = logAt(s.dir, s.broker)
	}
	return err
}

// start starts a command service, and returns the time until the fold is at the
// end of the log, and the time until the process is ready.
func (s *stateBench) start(ctx context.Context, binary string) (folded, readyIn time.Duration, err error) {
	settings := []string{"roles=command-service", "log.level=error"}
	if s.broker != nil {
		settings = append(settings, "kafka.brokers="+strings.Join(s.log.Brokers, ","))
	}
	began := time.Now()
	s.target, err = startUnready(ctx, s.dir, binary, settings...)
	if err != nil {
		return 0, 0, err
	}
	if err := s.atEnd(ctx); err != nil {
		return 0, 0, err
	}
	folded = time.Since(began)
	err = ready(ctx, s.target.urls["admin"])
	readyIn = time.Since(began)
	return folded, readyIn, errors.Join(err, s.answered(ctx))
}

// answered waits until the reactions have read the log. They read a log that the
// bench has written once, at the first start.
func (s *stateBench) answered(ctx context.Context) error {
	const looks = 3 // the reactions begin a moment after the process is ready
	for atEnd := 0; atEnd < looks; {
		metrics, err := s.target.metricValues(ctx)
		if err != nil {
			return err
		}
		atEnd++
		for name, lag := range metrics {
			if strings.HasPrefix(name, "millrace_reaction_lag_records{") && lag > 0 {
				atEnd = 0
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
	return nil
}

// atEnd waits until the command service has folded the log.
func (s *stateBench) atEnd(ctx context.Context) error {
	for {
		metrics, err := s.target.metricValues(ctx)
		if err != nil {
			return err
		}
		if lag, known := metrics["millrace_state_lag_records"]; known && lag == 0 && metrics["millrace_state_streams"] >= float64(s.users) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (s *stateBench) measure(ctx context.Context, b *bench, outcomes int, memory, disk goal) ([]row, error) {
	if err := s.fill(ctx, outcomes); err != nil {
		return nil, err
	}
	binary, err := shippedBinary()
	if err != nil {
		return nil, err
	}
	anew, _, err := s.start(ctx, binary)
	if err != nil {
		return nil, err
	}
	folded, err := s.target.idleMemory(ctx, idleFor)
	if err != nil {
		return nil, err
	}
	what := fmt.Sprintf(", %d users", s.users)
	if outcomes > 1 {
		what += fmt.Sprintf(" of %d outcomes", outcomes)
	}
	rows := []row{
		{"state store: memory after a fold" + what, megabytes(folded), "", folded / 1e6, memory},
		{"state store: fold of the whole log" + what, fmt.Sprintf("%.1f s", anew.Seconds()), "", 0, goal{}},
	}
	restarted, isReady, err := s.afterKill(ctx, binary) // before the renames: the log's writer knows no other records
	if err != nil {
		return rows, err
	}
	rows = append(rows, row{
		fmt.Sprintf("state store: start after kill -9, %d records behind%s", tailRecords, what), fmt.Sprintf("%.2f s", restarted.Seconds()),
		named("ready", fmt.Sprintf("%.2f s", isReady.Seconds())), restarted.Seconds(), atMost(1, 2),
	})
	few, err := s.beside(ctx, b)
	if err != nil {
		return rows, err
	}
	after, err := s.target.idleMemory(ctx, idleFor)
	if err != nil {
		return rows, err
	}
	rows = append(rows,
		row{"state store: memory after random renames" + what, megabytes(after), "", after / 1e6, memory},
		row{"POST to outcome, random renames" + what, perSecond(s.rate()), named(fmt.Sprintf("%d users", fewUsers), perSecond(few.rate())), s.rate() / few.rate(), atLeast(0.8, 0.7)},
		micros("processor time a rename"+what, &s.rates, fmt.Sprintf("%d users", fewUsers), few, goal{}))
	used, err := s.facts(ctx, what, disk)
	return append(rows, used...), err
}

// facts are the disk of the state store, and what the process tells of itself.
func (s *stateBench) facts(ctx context.Context, what string, disk goal) ([]row, error) {
	size, err := folderSize(filepath.Join(s.dir, "data", "state"))
	if err != nil {
		return nil, err
	}
	metrics, err := s.target.metricValues(ctx)
	if err != nil {
		return nil, err
	}
	rows := []row{{"state store: disk a user" + what, fmt.Sprintf("%.0f bytes", size/float64(s.users)), "", size / float64(s.users), disk}}
	if written, known := metrics["millrace_state_disk_written_bytes_total"]; known {
		rows = append(rows, row{"state store: written to disk, fold and renames" + what, megabytes(written), "", 0, goal{}})
	}
	if longest, known := longestStandstill(metrics); known {
		rows = append(rows, row{"state store: longest standstill of a partition, at most" + what, milliseconds(longest), "", longest, atMost(5, 20)})
	}
	return rows, nil
}

// longestStandstill is the upper bound of the longest standstill, in ms.
func longestStandstill(metrics map[string]float64) (bound float64, known bool) {
	all := metrics["millrace_state_standstill_seconds_count"]
	for name, n := range metrics {
		text, isBucket := strings.CutPrefix(name, `millrace_state_standstill_seconds_bucket{le="`)
		if !isBucket || n < all {
			continue
		}
		le, err := strconv.ParseFloat(strings.TrimSuffix(text, `"}`), 64)
		if err == nil && (!known || le*1000 < bound) {
			bound, known = le*1000, true
		}
	}
	return bound, known
}

// afterKill kills the command service, appends a tail to the log, and starts the
// command service again.
func (s *stateBench) afterKill(ctx context.Context, binary string) (folded, isReady time.Duration, err error) {
	_ = errors.Join(s.target.process.Process.Kill(), s.target.process.Wait()) // always an error
	s.target = nil
	if err := s.log.fill(tailRecords, s.users); err != nil {
		return 0, 0, err
	}
	return s.start(ctx, binary)
}

// beside measures random renames in turn with a command service of few users.
func (s *stateBench) beside(ctx context.Context, b *bench) (few *rates, err error) {
	binary, err := shippedBinary()
	if err != nil {
		return nil, err
	}
	err = withFewUsers(ctx, binary, 1, func(other *stateBench) error {
		few = &other.rates
		return inTurns(ctx, b, other, s)
	})
	return few, err
}

// renames renames random users. A client waits for the outcome of each command.
func (s *stateBench) renames(ctx context.Context, clients, commands int) error {
	client := newClient(clients)
	defer client.CloseIdleConnections()
	before, err := s.target.processorTime()
	if err != nil {
		return err
	}
	began := time.Now()
	var sent atomic.Int64
	loops, looping := errgroup.WithContext(ctx)
	for range clients {
		loops.Go(func() error {
			for n := sent.Add(1); n <= int64(commands); n = sent.Add(1) {
				name := fmt.Sprintf("Run %d", s.renamed+int(n))
				status, err := rename(looping, client, s.target.commands, strconv.Itoa(rand.IntN(s.users)), name, true)
				if err != nil {
					return err
				}
				if status != http.StatusOK {
					return fmt.Errorf("a rename: status %d", status)
				}
			}
			return nil
		})
	}
	if err := loops.Wait(); err != nil {
		return err
	}
	took := time.Since(began)
	after, err := s.target.processorTime()
	s.renamed += commands
	s.perSecond = append(s.perSecond, float64(commands)/took.Seconds())
	s.micros = append(s.micros, float64((after-before).Microseconds())/float64(commands))
	return err
}

// metricValues are the metrics of a process without labels.
func (t *target) metricValues(ctx context.Context) (map[string]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.metrics, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	values := map[string]float64{}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if name, text, ok := strings.Cut(lines.Text(), " "); ok {
			if value, err := strconv.ParseFloat(text, 64); err == nil {
				values[name] = value
			}
		}
	}
	return values, nil
}

// folderSize is the size of all files in a folder, in bytes.
func folderSize(dir string) (bytes float64, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a compaction is done
		}
		if err == nil {
			bytes += float64(info.Size())
		}
		return err
	})
	return bytes, err
}
