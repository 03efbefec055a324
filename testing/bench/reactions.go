package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	// payers send money, and as many receivers get money.
	payers = 256
	// transfersShare is the part of -commands that are transfers: a transfer is
	// seven commands.
	transfersShare = 6
)

// reactions measures examples/bank: how long after a request the reaction's first
// command is visible, and how many transfers end in a second. A transfer is seven
// commands: the client's request, and six of the reaction (a timer, the withdrawal,
// the word of it, the deposit, the timer's cancel, the word of the deposit).
func reactions(ctx context.Context, b *bench) (rows []row, err error) {
	err = inFolder(func(dir string) error {
		bank, err := buildBank(ctx, dir)
		if err != nil {
			return err
		}
		rows, err = reactionLatency(ctx, b, bank)
		if err != nil {
			return err
		}
		more, err := transferRate(ctx, b, bank)
		rows = append(rows, more...)
		return err
	})
	return rows, err
}

// buildBank builds examples/bank, a module of its own.
func buildBank(ctx context.Context, dir string) (contender, error) {
	binary := filepath.Join(dir, "bank")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, ".")
	cmd.Dir = filepath.Join("examples", "bank")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return contender{}, fmt.Errorf("build the bank: %w\n%s", err, out)
	}
	return contender{"the bank", func(ctx context.Context, dir string) (*target, error) { return startBuild(ctx, dir, binary) }}, nil
}

// reactionLatency compares, of the same transfers, the times until the request and
// until the withdrawal are visible.
func reactionLatency(ctx context.Context, b *bench, bank contender) (rows []row, err error) {
	perSecond := latencyRates[0]
	var cause, effect []float64 // p50 by run
	for range b.runs {
		err := inFolder(func(dir string) error {
			t, err := bank.start(ctx, dir)
			if err != nil {
				return err
			}
			defer t.stop()
			if err := openAccounts(ctx, t); err != nil {
				return err
			}
			requested, withdrawn, err := transfersAtRate(ctx, t, perSecond, b.length)
			if err != nil {
				return err
			}
			cause, effect = append(cause, quantile(requested, 0.5)), append(effect, quantile(withdrawn, 0.5))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return []row{{
		fmt.Sprintf("a cause's POST to its reaction's command visible, %d transfers/s, p50", perSecond), milliseconds(median(effect)),
		named("the cause visible", milliseconds(median(cause))), median(effect) / median(cause), atMost(3, 5),
	}}, nil
}

// transferRate is the number of transfers that end in a second, beside the commands
// about users that become visible in a second.
func transferRate(ctx context.Context, b *bench, bank contender) (rows []row, err error) {
	users, err := compare(ctx, b, millrace())
	if err != nil {
		return nil, err
	}
	var perRun []float64
	n := max(b.commands/transfersShare, 1)
	for range b.runs {
		err := inFolder(func(dir string) error {
			t, err := bank.start(ctx, dir)
			if err != nil {
				return err
			}
			defer t.stop()
			if err := openAccounts(ctx, t); err != nil {
				return err
			}
			began := time.Now()
			err = eachOnce(ctx, b.clients, n, func(ctx context.Context, client *http.Client, i int64) error {
				_, err := postCommand(ctx, client, t.commands, transferOf(i))
				return err
			})
			if err != nil {
				return err
			}
			if err := allEnded(ctx, t, n); err != nil {
				return err
			}
			perRun = append(perRun, float64(n)/time.Since(began).Seconds())
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	got, limit := median(perRun), users[0].rate()
	return []row{{
		fmt.Sprintf("transfers of seven commands, from the first POST to the last end, %d connections", b.clients), perSecond(got),
		named("commands about users", perSecond(limit)), got / limit, atLeast(0.125, 0.125),
	}}, nil
}

// openAccounts opens and fills the accounts, and waits until all is visible.
func openAccounts(ctx context.Context, t *target) error {
	for _, command := range []string{
		`{"type":"openAccount","payload":{"id":"p%[1]d","number":"PAYER%06[1]d"}}`,
		`{"type":"openAccount","payload":{"id":"r%[1]d","number":"RECEIVER%06[1]d"}}`,
		`{"type":"deposit","payload":{"id":"p%[1]d","amount":1000000}}`,
	} {
		err := eachOnce(ctx, 64, payers, func(ctx context.Context, client *http.Client, i int64) error {
			_, err := postCommand(ctx, client, t.commands, fmt.Sprintf(command, i))
			return err
		})
		if err != nil {
			return err
		}
		// A deposit needs an open account.
		if err := ready(ctx, t.urls["admin"]); err != nil {
			return err
		}
	}
	return until(ctx, func() (bool, error) {
		m, err := moneyOf(ctx, t)
		return m.Accounts == 2*payers && m.Deposited == payers*1000000, err
	})
}

// transferOf is the command of transfer i.
func transferOf(i int64) string {
	return fmt.Sprintf(`{"type":"requestTransfer","payload":{"id":"t%d","from":"p%d","to":"r%d","amount":1}}`, i, 1+i%payers, 1+i*7%payers)
}

// money is an answer of GET /stats/money.
type money struct {
	Accounts  int64 `json:"accounts"`
	InTransit int64 `json:"inTransit"`
	Deposited int64 `json:"deposited"`
}

func moneyOf(ctx context.Context, t *target) (m money, err error) {
	return m, readJSON(ctx, t, "/stats/money", &m)
}

func readJSON(ctx context.Context, t *target, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.queries+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, response.Status)
	}
	return json.Unmarshal(body, into)
}

// until asks until the answer is yes.
func until(ctx context.Context, ask func() (bool, error)) error {
	for {
		yes, err := ask()
		if err != nil || yes {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// allEnded waits until the receivers have the money of n transfers, and each
// transfer of the last ones is completed.
func allEnded(ctx context.Context, t *target, n int) error {
	err := until(ctx, func() (bool, error) {
		var all []struct {
			ID      string `json:"id"`
			Balance int    `json:"balance"`
		}
		err := readJSON(ctx, t, "/accounts?limit=1000", &all)
		sum := 0
		for _, a := range all {
			if strings.HasPrefix(a.ID, "r") {
				sum += a.Balance
			}
		}
		return sum == n, err
	})
	for i := max(1, n-payers); i <= n && err == nil; i++ {
		err = until(ctx, func() (bool, error) {
			var one struct {
				Status string `json:"status"`
			}
			err := readJSON(ctx, t, fmt.Sprintf("/transfers/t%d", i), &one)
			return one.Status == "completed", err
		})
	}
	return err
}

// transfersAtRate asks for transfers at a fixed rate, and returns the times, in ms
// from the due time, until a follower of GET /changes had the request and the
// withdrawal of each.
func transfersAtRate(ctx context.Context, t *target, perSecond int, length time.Duration) (requested, withdrawn []float64, err error) {
	skipped := int(warmUp.Seconds() * float64(perSecond))
	n := skipped + int(length.Seconds()*float64(perSecond))
	f, err := followChanges(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	defer f.stop()
	due := make([]time.Time, n)
	client := newClient(perSecond)
	defer client.CloseIdleConnections()
	err = paced(ctx, perSecond, n, func(ctx context.Context, i int, at time.Time) error {
		due[i] = at
		_, err := postCommand(ctx, client, t.commands, transferOf(int64(i+1)))
		return err
	})
	if err == nil {
		err = allEnded(ctx, t, n)
	}
	if err != nil {
		return nil, nil, err
	}
	seenRequest, seenWithdrawal := f.seen()
	for i := skipped; i < n; i++ {
		id := fmt.Sprintf("t%d", i+1)
		requested = append(requested, seenRequest[id].Sub(due[i]).Seconds()*1000)
		withdrawn = append(withdrawn, seenWithdrawal[id].Sub(due[i]).Seconds()*1000)
	}
	return requested, withdrawn, nil
}

// changesFollower notes when changes arrive.
type changesFollower struct {
	stop func()

	mu                   sync.Mutex
	requested, withdrawn map[string]time.Time
}

func (f *changesFollower) seen() (requested, withdrawn map[string]time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requested, f.withdrawn
}

// followChanges follows GET /changes.
func followChanges(ctx context.Context, t *target) (*changesFollower, error) {
	ctx, stop := context.WithCancel(ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.queries+"/changes", http.NoBody)
	if err != nil {
		stop()
		return nil, err
	}
	response, err := http.DefaultClient.Do(request) //nolint:bodyclose // the goroutine closes the body
	if err != nil {
		stop()
		return nil, err
	}
	f := &changesFollower{stop: stop, requested: map[string]time.Time{}, withdrawn: map[string]time.Time{}}
	go func() {
		defer func() { _ = response.Body.Close() }()
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			f.note(lines.Text())
		}
	}()
	return f, nil
}

// note notes a line of the stream.
func (f *changesFollower) note(line string) {
	now := time.Now()
	body, ok := strings.CutPrefix(line, "data:")
	if !ok {
		return
	}
	var change struct {
		Type string `json:"type"`
		Data struct {
			ID       string `json:"id"`
			Transfer string `json:"transfer"`
		} `json:"data"`
	}
	if json.Unmarshal([]byte(body), &change) != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch change.Type {
	case "transferRequested":
		f.requested[change.Data.ID] = now
	case "moneyWithdrawn":
		f.withdrawn[change.Data.Transfer] = now
	}
}
