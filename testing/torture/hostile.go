package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/testing/torture/hostile"
)

const (
	// hostileAfter: the traffic comes first. A start takes a log for another log
	// if many of the first records are in other partitions than their streams'.
	hostileAfter = 2 * time.Second
	// hostilePace is the pause between two hostile writes, on average.
	hostilePace = 120 * time.Millisecond
	// latePace is the pause between two looks for records that late records follow.
	// One of so many records is followed.
	latePace, lateOneIn = 500 * time.Millisecond, 10
	// dropTimeout is the longest time until no command of an unknown type waits. A
	// list folds the whole log, and each drop a partition, beside all clients.
	dropTimeout = 2 * time.Minute
	// markersIn is the longest time of a restart, and of a rebuild, behind markers.
	markersIn = 60 * time.Second
)

// intruder writes hostile records beside the traffic, past all proxies.
type intruder struct {
	cluster         *cluster
	generator       *hostile.Generator
	writer          *hostile.Writer
	say             func(string, ...any)
	written, failed int
}

func newIntruder(c *cluster, seed uint64, victim func(*rand.Rand) string, say func(string, ...any)) *intruder {
	return &intruder{cluster: c, writer: hostile.NewWriter(c.brokers()), say: say, generator: hostile.New(seed, partitions, victim)}
}

// run writes until the context ends. Brokers may be away meanwhile.
func (i *intruder) run(ctx context.Context) {
	rng := rand.New(rand.NewPCG(0, 0)) // of pauses
	for ok := pause(ctx, hostileAfter); ok; ok = pause(ctx, between(rng, 0, 2*hostilePace)) {
		b := i.generator.Next()
		if err := i.writer.Write(ctx, b); err != nil {
			i.failed++
			continue
		}
		i.written += len(b.Records)
	}
}

// runLate writes late records of reactions' commands until the context ends.
func (i *intruder) runLate(ctx context.Context) error {
	reader, err := i.cluster.kafka().LogReader()
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	rng := rand.New(rand.NewPCG(0, 1))
	next, heads := map[int32]int64{}, map[string]eventlog.Head{}
	for pause(ctx, latePace) {
		for partition := range int32(partitions) {
			records, _ := readRecords(ctx, reader, partition, next[partition]) // brokers may be away
			for n := range records {
				r := &records[n]
				next[partition] = r.Offset + 1
				head, counts := heads[r.Stream].Accept(r)
				if !counts {
					continue
				}
				if heads[r.Stream] = head; r.Origin == nil || rng.IntN(lateOneIn) > 0 {
					continue
				}
				if err := i.writer.Write(ctx, hostile.Batch{Records: []*kgo.Record{i.generator.Late(r)}}); err != nil {
					i.failed++
					break
				}
				i.written++
			}
		}
	}
	i.writer.Close()
	i.say("%d late records, and %d writes failed", i.written, i.failed)
	return nil
}

// finish writes the last markers, once all faults are mended and all clients have
// stopped. Afterwards a restart and a rebuild must end all the same.
func (i *intruder) finish(ctx context.Context) error {
	defer i.writer.Close()
	var err error
	for range 5 { // a new leader may be a second away
		b := i.generator.Last()
		if err = i.writer.Write(ctx, b); err == nil {
			i.written += len(b.Records)
			break
		}
		pause(ctx, time.Second)
	}
	i.say("%d hostile records, and %d writes failed", i.written, i.failed)
	if err != nil {
		return fmt.Errorf("hostile records can't be written: %w", err)
	}
	var restarts errgroup.Group
	for _, role := range []string{commandService, queryService} {
		p := i.cluster.of(role)[0]
		restarts.Go(func() error {
			return errors.Join(p.stop(time.Minute), p.start())
		})
	}
	if err := restarts.Wait(); err != nil {
		return err
	}
	if err := i.cluster.waitUntilReady(ctx, markersIn); err != nil {
		return fmt.Errorf("behind the last markers: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, markersIn)
	defer cancel()
	if out, err := i.cluster.command(ctx, i.cluster.binary, "projections", "rebuild", shipped.models[0]).CombinedOutput(); err != nil {
		return fmt.Errorf("a rebuild behind the last markers: %w\n%s", err, out)
	}
	i.say("all is ready, and rebuilt, behind the last markers")
	return nil
}

// drop is an operator who drops all commands of unknown types, so that the
// commands behind go on.
func (i *intruder) drop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dropTimeout)
	defer cancel()
	why := errors.New("never asked")
	dropped := 0
	for ctx.Err() == nil {
		out, err := i.cluster.operate(ctx, "parked", "list")
		all := strangers(out)
		if err == nil && len(all) == 0 {
			i.say("no hostile stream waits: %d commands dropped", dropped)
			return nil
		}
		var drops sync.WaitGroup
		failed := make([]error, len(all))
		for n, p := range all {
			drops.Go(func() {
				if _, err := i.cluster.operate(ctx, "parked", "drop", p.user, p.command); err != nil {
					failed[n] = fmt.Errorf("drop %s: %s", p.user, lastLine(err.Error()))
				}
			})
		}
		drops.Wait()
		dropped += len(all)
		if why = err; err == nil {
			why = errors.Join(slices.Insert(failed, 0, fmt.Errorf("%d hostile streams wait", len(all)))...)
		}
		pause(ctx, 200*time.Millisecond)
	}
	return fmt.Errorf("%s after all was mended: %w", dropTimeout, why)
}

// strangers are the hostile streams of app parked list, with their first
// commands.
func strangers(list string) (all []parked) {
	for line := range strings.Lines(list) {
		if fields := strings.Fields(line); len(fields) > 5 && hostile.IsStream(fields[0]) {
			all = append(all, parked{fields[0], fields[2]})
		}
	}
	return all
}

var (
	verdicts = regexp.MustCompile(`(?m)^\S+: (.*), in `)
	misfits  = regexp.MustCompile(`(?m)^  elsewhere (\d+) `)
)

// proof is an error unless app verify has proven all read models. Beside records
// in other partitions than their streams', verify must find as many of them, and
// no difference.
func (s service) proof(out string, failed error, elsewhere int) error {
	wrong := func(what string) error { return errors.Join(fmt.Errorf("%s\n%s", what, out), failed) }
	want := "proven"
	if elsewhere > 0 {
		want = "NOT PROVEN"
	}
	if (failed != nil) != (elsewhere > 0) {
		return wrong(fmt.Sprintf("with %d records in other partitions than their streams':", elsewhere))
	}
	all := verdicts.FindAllStringSubmatch(out, -1)
	if len(all) != len(s.models) {
		return wrong(fmt.Sprintf("%d verdicts:", len(all)))
	}
	for _, verdict := range all {
		if verdict[1] != want {
			return wrong("a verdict is not " + want + ":")
		}
	}
	for _, found := range misfits.FindAllStringSubmatch(out, -1) {
		if found[1] != strconv.Itoa(elsewhere) {
			return wrong(fmt.Sprintf("%d records are in other partitions than their streams':", elsewhere))
		}
	}
	return nil
}
