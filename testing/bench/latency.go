package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// latencyRates are the commands a second of the goals.
var latencyRates = []int{200, 1000}

// latency is the time from a POST until the command is visible, at fixed rates. A time
// begins when the command is due. Contenders run beside each other, and the load goes
// to each in turn. On PostgreSQL the limit is plain Watermill and two of the server's
// own commits.
func latency(ctx context.Context, b *bench) ([]row, error) {
	rows, err := latencyOn(ctx, b, "SQLite", nil, millrace())
	if err != nil || os.Getenv("POSTGRES_URL") == "" {
		return rows, err
	}
	err = inFolder(func(dir string) error {
		url, drop, err := newSchema(ctx, filepath.Base(dir))
		if err != nil {
			return err
		}
		more, err := latencyOn(ctx, b, "PostgreSQL", &commits{url: url}, millrace("store.driver=postgres", "store.postgres.url="+url))
		rows = append(rows, more...)
		return errors.Join(err, drop())
	})
	return rows, err
}

// measured are the results of a contender at a fixed rate, a number for each run.
type measured struct {
	ackedP50, p50, p99 []float64 // ms
	micros             []float64 // of processor time, for each command and its read
}

// add runs a contender once at a fixed rate.
func (m *measured) add(ctx context.Context, b *bench, t *target, perSecond int) error {
	before, err := t.processorTime()
	if err != nil {
		return err
	}
	a, last, err := fixedRate(ctx, t, perSecond, b.length, t.users, true)
	if err != nil {
		return err
	}
	after, err := t.processorTime()
	m.ackedP50 = append(m.ackedP50, quantile(a.acked, 0.5))
	m.p50 = append(m.p50, quantile(a.visible, 0.5))
	m.p99 = append(m.p99, quantile(a.visible, 0.99))
	m.micros = append(m.micros, float64((after-before).Microseconds())/float64(last-t.users))
	t.users = last
	return err
}

// latencyInTurn runs contenders in turn, at each rate. between, if there is one, runs
// beside the contenders, once in a round.
func latencyInTurn(ctx context.Context, b *bench, perSecond []int, contenders []contender, between func() error) (made [][]measured, err error) {
	err = together(ctx, contenders, func(targets []*target) error {
		for _, rate := range perSecond {
			of := make([]measured, len(targets))
			for range b.runs {
				for i, t := range targets {
					if err := of[i].add(ctx, b, t, rate); err != nil {
						return fmt.Errorf("%s: %w", contenders[i].name, err)
					}
				}
				if between != nil {
					if err := between(); err != nil {
						return err
					}
				}
			}
			made = append(made, of)
		}
		return nil
	})
	return made, err
}

// latencyOn measures Millrace on a database.
func latencyOn(ctx context.Context, b *bench, store string, server *commits, ours contender) (rows []row, err error) {
	var between func() error
	contenders := []contender{plain, ours, plainSQLite}
	added := ""
	if server != nil {
		contenders, added = contenders[:2], " and 2 commits"
		between = func() error { return server.run(ctx) }
	}
	made, err := latencyInTurn(ctx, b, latencyRates, contenders, between)
	if err != nil {
		return nil, err
	}
	for i, perSecond := range latencyRates {
		plain, ours := &made[i][0], &made[i][1]
		for _, q := range []struct {
			name  string
			of    func(*measured) []float64
			added []float64 // by run: a commit of the server
			goal  goal
		}{
			{"p50", func(m *measured) []float64 { return m.p50 }, server.times(0.5), atMost(latencyGoal[perSecond][0], latencyGoal[perSecond][1])},
			{"p99", func(m *measured) []float64 { return m.p99 }, server.times(0.99), atMost(2, 3)},
		} {
			what := fmt.Sprintf("POST to visible in %s, %d/s, %s", store, perSecond, q.name)
			got, limit := median(q.of(ours)), median(q.of(plain))
			if server != nil {
				limit += 2 * median(q.added)
			}
			rows = append(rows, row{what, milliseconds(got), named("plain Watermill"+added, milliseconds(limit)), got / limit, q.goal})
			if server == nil {
				limit = median(q.of(&made[i][2]))
				rows = append(rows, row{what, milliseconds(got), named("plain Watermill, SQLite", milliseconds(limit)), got / limit, goal{}})
			}
		}
		if server == nil {
			got, limit := median(ours.ackedP50), median(plain.ackedP50)
			rows = append(rows, row{fmt.Sprintf("POST to acked, %d/s, p50", perSecond), milliseconds(got), named("plain Watermill", milliseconds(limit)), got / limit, atMost(1.3, 1.8)})
		}
		got, limit := median(ours.micros), median(plain.micros)
		rows = append(rows, row{
			fmt.Sprintf("processor time a command and its read in %s, %d/s", store, perSecond), microseconds(got),
			named("plain Watermill", microseconds(limit)), got / limit, goal{},
		})
	}
	return rows, nil
}

// latencyGoal is target and bar of the p50, by commands a second.
var latencyGoal = map[int][2]float64{200: {1.5, 2}, 1000: {2, 2.7}}

// commits measures commits of a PostgreSQL: a row in a transaction, a transaction at
// a time.
type commits struct {
	url      string
	p50, p99 []float64 // ms, by run
}

// commitRuns is the number of commits in a run.
const commitRuns = 200

func (c *commits) times(q float64) []float64 {
	switch {
	case c == nil:
		return nil
	case q == 0.5:
		return c.p50
	default:
		return c.p99
	}
}

func (c *commits) run(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // all is measured
	if _, err := conn.Exec(ctx, "CREATE TABLE IF NOT EXISTS bench_commits (id BIGINT PRIMARY KEY, name TEXT)"); err != nil {
		return err
	}
	took := make([]float64, commitRuns)
	for i := range took {
		began := time.Now()
		if _, err := conn.Exec(ctx, "INSERT INTO bench_commits VALUES ($1, 'a name') ON CONFLICT (id) DO UPDATE SET name = excluded.name", i); err != nil {
			return err
		}
		took[i] = time.Since(began).Seconds() * 1000
	}
	c.p50, c.p99 = append(c.p50, quantile(took, 0.5)), append(c.p99, quantile(took, 0.99))
	return nil
}

// claims compares the times from a POST until the outcome of commands with a claim
// and of commands without one. Both come in turn, half the rate each, in one run:
// user n gets a first email, or another name.
func claims(ctx context.Context, b *bench) ([]row, error) {
	perSecond := latencyRates[0]
	skipped := int(warmUp.Seconds() * float64(perSecond))
	n := skipped + int(b.length.Seconds()*float64(perSecond))
	var with, without []float64 // p50 by run
	for range b.runs {
		err := inFolder(func(dir string) error {
			t, err := millrace().start(ctx, dir)
			if err != nil {
				return err
			}
			defer t.stop()
			err = eachOnce(ctx, b.clients, n, func(ctx context.Context, client *http.Client, i int64) error {
				_, err := post(ctx, client, t.commands, i)
				return err
			})
			if err == nil {
				err = ready(ctx, t.urls["admin"])
			}
			if err != nil {
				return err
			}
			client := newClient(perSecond)
			defer client.CloseIdleConnections()
			took := make([]float64, n)
			err = paced(ctx, perSecond, n, func(ctx context.Context, i int, due time.Time) error {
				err := postToTheEnd(ctx, client, t.commands, renameOrClaim(i))
				took[i] = time.Since(due).Seconds() * 1000
				return err
			})
			if err != nil {
				return err
			}
			var halves [2][]float64
			for i := skipped; i < n; i++ {
				halves[i%2] = append(halves[i%2], took[i])
			}
			without, with = append(without, quantile(halves[0], 0.5)), append(with, quantile(halves[1], 0.5))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	got, limit := median(with), median(without)
	return []row{{
		fmt.Sprintf("POST to outcome of a command with a claim, %d/s, p50", perSecond), milliseconds(got),
		named("without a claim", milliseconds(limit)), got / limit, atMost(3, 4),
	}}, nil
}

// renameOrClaim is command i of a run.
func renameOrClaim(i int) string {
	if i%2 == 0 {
		return fmt.Sprintf(`{"type":"renameUser","payload":{"id":%d,"name":"another name"}}`, i+1)
	}
	return fmt.Sprintf(`{"type":"changeEmail","payload":{"id":%[1]d,"email":"user-%[1]d@example.org"}}`, i+1)
}

// postToTheEnd sends a command, and waits for the outcome.
func postToTheEnd(ctx context.Context, client *http.Client, url, body string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Prefer", "wait=20")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", body, response.Status)
	}
	return nil
}
