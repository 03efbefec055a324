package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/testing/torture/history"
)

// measure is a sampled number of a process. Under the same load, the number should
// stay about the same.
type measure struct {
	name  string
	slack float64 // growth up to slack is no growth
	of    func(*process, int) (float64, error)
}

var measures = []measure{
	{"MiB", math.Inf(1), memoryOf}, // grows with the users and the log
	{"MiB beside those", 32, memoryBesideState},
	{"goroutines", 50, goroutinesOf},
	{"files", 20, filesOf},
}

// life is a process from a start to an end, sampled.
type life struct {
	process  *process
	pid      int
	from, to time.Duration
	values   [][]float64 // by measure
}

// samples are the samples of all lives.
type samples struct {
	mu    sync.Mutex
	lives []*life
}

// take samples processes again and again, until the context ends.
func (s *samples) take(ctx context.Context, all []*process, every time.Duration, now func() time.Duration) {
	for pause(ctx, every) {
		for _, p := range all {
			if pid := p.pid(); pid != 0 {
				s.add(p, pid, now())
			}
		}
	}
}

func (s *samples) add(p *process, pid int, now time.Duration) {
	values := make([]float64, len(measures))
	for i, m := range measures {
		v, err := m.of(p, pid)
		if err != nil {
			return // the process was killed, or is frozen
		}
		values[i] = v
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.lives, func(l *life) bool { return l.process == p && l.pid == pid })
	if i < 0 {
		i = len(s.lives)
		s.lives = append(s.lives, &life{process: p, pid: pid, from: now, values: make([][]float64, len(measures))})
	}
	l := s.lives[i]
	l.to = now
	for i, v := range values {
		l.values[i] = append(l.values[i], v)
	}
}

// longest has the longest life of each process.
func (s *samples) longest() []*life {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*life
	for _, l := range s.lives {
		i := slices.IndexFunc(all, func(other *life) bool { return other.process == l.process })
		switch {
		case i < 0:
			all = append(all, l)
		case l.to-l.from > all[i].to-all[i].from:
			all[i] = l
		}
	}
	return all
}

// grown has a violation for each measure that grew steadily, of lives of at least
// half a run.
func (s *samples) grown(run time.Duration) (wrong []history.Violation) {
	for _, l := range s.longest() {
		if l.to-l.from < run/2 {
			continue
		}
		for i, m := range measures {
			if from, to, grew := growth(l.values[i], m.slack); grew {
				wrong = append(wrong, history.Violation{Rule: "grows", Detail: fmt.Sprintf("%s of %s, from %.0f to %.0f in %s", m.name, l.process.name, from, to, (l.to - l.from).Round(time.Second))})
			}
		}
	}
	return wrong
}

// growth says whether values grow steadily. The first quarter doesn't count:
// processes warm up. Of the rest, growth compares the least value of each third:
// uncollected garbage doesn't change the least value.
func growth(values []float64, slack float64) (from, to float64, grew bool) {
	values = values[len(values)/4:]
	if len(values) < 9 {
		return 0, 0, false
	}
	third := len(values) / 3
	a, b, c := slices.Min(values[:third]), slices.Min(values[third:2*third]), slices.Min(values[2*third:])
	return a, c, a < b && b < c && c-a > max(slack, a/4)
}

// memoryOf is the resident memory of a process, in MiB.
func memoryOf(_ *process, pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kB, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 64)
			return kB / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d has no memory", pid)
}

// filesOf is the number of open file descriptors of a process.
func filesOf(_ *process, pid int) (float64, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return float64(len(entries)), err
}

// goroutinesOf is the number of goroutines in the metrics of a process, 0 for
// processes without metrics.
func goroutinesOf(p *process, _ int) (float64, error) {
	metrics, err := metricsOf(p)
	return metrics["go_goroutines"], err
}

// memoryBesideState is the resident memory of a process, in MiB, without the state
// store, as docs/operating.md counts, and without an embedded broker's index of the
// log. Both grow with the users and records of a run. The runtime lets the heap
// grow to twice the size in use (GOGC).
func memoryBesideState(p *process, pid int) (float64, error) {
	memory, err := memoryOf(p, pid)
	if err != nil {
		return 0, err
	}
	metrics, err := metricsOf(p)
	if err != nil {
		return 0, err
	}
	state := 700*metrics["millrace_state_streams"] + 200*metrics["millrace_state_outcomes"]
	if p.log != "" {
		messages, err := messagesAt(p.log)
		if err != nil {
			return 0, err
		}
		state += 70 * float64(messages)
	}
	return memory - 2*state/(1<<20), nil
}

// messagesAt is the number of messages in both topics of a broker.
func messagesAt(broker string) (n int64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	k := &kafka.Kafka{Brokers: []string{broker}, Partitions: partitions, Log: slog.New(slog.DiscardHandler)}
	commands, err := k.CommandReader()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, commands.Close()) }()
	events, err := k.LogReader()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, events.Close()) }()
	for partition := range int32(partitions) {
		inCommands, err := commands.End(ctx, partition)
		if err != nil {
			return 0, err
		}
		inEvents, err := events.End(ctx, partition)
		if err != nil {
			return 0, err
		}
		n += inCommands + inEvents
	}
	return n, nil
}

// metricsOf are the metrics without labels of a process, none for processes without
// an admin address.
func metricsOf(p *process) (map[string]float64, error) {
	if p.admin == "" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/metrics", http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	metrics := map[string]float64{}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), " ")
		if value, err := strconv.ParseFloat(text, 64); err == nil {
			metrics[name] = value
		}
	}
	return metrics, lines.Err()
}
