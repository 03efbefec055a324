package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"example.com/bank/handlers/transfers"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/testing/torture/bank"
	"github.com/millrace/millrace/testing/torture/history"
)

// A command service freezes between deciding to send a reaction's command and
// sending. The other service takes over and sends the command itself, and the
// target has 200 commands more, more than a stream remembers. Then the send
// arrives, and takes no effect. With FULL=1 the freeze lasts two minutes, and the
// test is repeated without the fence: the send takes effect there.
func TestLateSendOfAFrozenService(t *testing.T) {
	t.Parallel()
	full := os.Getenv("FULL") != ""
	t.Run("fence", func(t *testing.T) {
		t.Parallel()
		frozen := time.Duration(0) // as long as the other service needs
		if full {
			frozen = 2 * time.Minute
		}
		if wrong := sendLate(t, frozen); len(wrong) > 0 {
			t.Error(wrong)
		}
	})
	t.Run("no fence", func(t *testing.T) {
		t.Parallel()
		if !full {
			t.Skip("builds a copy of the tree; set FULL=1")
		}
		wrong := sendLate(t, 0, "mutants/no-fence")
		for _, rule := range []string{"a reaction's command took effect twice", "money made or lost"} {
			if !slices.ContainsFunc(wrong, func(v history.Violation) bool { return v.Rule == rule }) {
				t.Errorf("no %q without the fence, but %v", rule, wrong)
			}
		}
	})
}

const (
	withdrawal = "withdrawForTransfer"
	// lateTransfer is the transfer whose withdrawal comes late.
	lateTransfer = "late"
	// moreCommands is the number of commands of the target before the late
	// command. A stream remembers the outcomes of 128.
	moreCommands = 200
)

// sendLate returns the broken promises of a bank with patches, after a withdrawal
// that came late. The service that sent the withdrawal is frozen for at least so
// long.
func sendLate(t *testing.T, frozen time.Duration, patches ...string) []history.Violation {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	held := newHeld(withdrawal, fmt.Sprintf(`"transfer":%q`, lateTransfer))
	c := startHeldBank(ctx, t, held, patches)
	teller := &teller{Asker: history.Asker{HTTP: http.DefaultClient, Now: sinceNow()}, to: c.of(commandService)[0], from: c.of(readAPI)[0]}
	teller.send(t, "openAccount", "account/alice", `{"id":"alice","number":"DE021203"}`)
	teller.send(t, "openAccount", "account/bob", `{"id":"bob","number":"FR143000"}`)
	teller.send(t, "deposit", "account/alice", `{"id":"alice","amount":10000}`)
	teller.send(t, "requestTransfer", "transfer/"+lateTransfer, fmt.Sprintf(`{"id":%q,"from":"alice","to":"bob","amount":700}`, lateTransfer))

	sender, began := held.await(t, c), time.Now()
	sender.signal(syscall.SIGSTOP, false)
	for _, p := range c.of(commandService) {
		if p != sender {
			teller.to = p
		}
	}
	if before := commandsOf(ctx, t, c, "account/alice"); slices.Contains(before, withdrawal) {
		t.Fatalf("the withdrawal is in topic commands before its send: %v", before)
	}
	teller.awaitTransfer(t)
	t.Logf("%s froze, and the transfer is completed by %s after %s", sender.name, teller.to.name, time.Since(began).Round(time.Millisecond))
	for range moreCommands {
		teller.send(t, "deposit", "account/alice", `{"id":"alice","amount":1}`)
	}
	pause(ctx, frozen-time.Since(began))
	before := commandsOf(ctx, t, c, "account/alice")
	if len(patches) == 0 && count(before, withdrawal) != 1 {
		t.Fatalf("topic commands has %d withdrawals, want that of the other service: %v", count(before, withdrawal), before)
	}

	held.let()
	after := before
	for until := time.Now().Add(time.Minute); len(after) == len(before); after = commandsOf(ctx, t, c, "account/alice") {
		if !pause(ctx, 100*time.Millisecond) || time.Now().After(until) {
			t.Fatalf("the late withdrawal never came to topic commands: %v", before)
		}
	}
	if late := after[len(before):]; !slices.Equal(late, []string{withdrawal}) {
		t.Fatalf("behind the %d commands came %v, want the late withdrawal", len(before), late)
	}
	t.Logf("the withdrawal came to topic commands after %s, behind %d commands", time.Since(began).Round(time.Second), len(before))
	sender.signal(syscall.SIGCONT, false)
	if err := c.waitUntilReady(ctx, recoverIn); err != nil {
		t.Fatal(err)
	}
	teller.send(t, "deposit", "account/alice", `{"id":"alice","amount":1}`) // decided behind the late withdrawal
	all := commandsOf(ctx, t, c, "account/alice")
	t.Logf("%s sent the withdrawal %d times more once it went on", sender.name, count(all, withdrawal)-count(after, withdrawal))
	teller.read(t)
	return judgeLate(ctx, t, c, &teller.History)
}

// startHeldBank starts a bank with patches, until the end of the test. A request to
// Kafka is held.
func startHeldBank(ctx context.Context, t *testing.T, held *held, patches []string) *cluster {
	t.Helper()
	p := plan{dir: t.TempDir(), broker: "embedded", store: "sqlite", service: bankService, request: held.request}
	var err error
	if p.verifier, err = p.build(ctx, top, "millrace"); err != nil {
		t.Fatal(err)
	}
	if p.binary = p.verifier; len(patches) > 0 {
		if p.binary, err = p.buildPatched(ctx, patches...); err != nil {
			t.Fatal(err)
		}
	}
	p.other = p.binary
	c, err := startCluster(ctx, p)
	t.Cleanup(func() {
		c.end()
		held.let()
		if t.Failed() {
			for _, p := range c.of(commandService) {
				log, err := os.ReadFile(p.logFile())
				t.Logf("%s: %s %v", p.name, log, err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func judgeLate(ctx context.Context, t *testing.T, c *cluster, h *bank.History) []history.Violation {
	t.Helper()
	report, err := c.checkBank(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	wrong := report.Violations
	if err := c.verify(ctx, 0); err != nil {
		wrong = append(wrong, history.Violation{Rule: "verify", Detail: err.Error()})
	}
	for _, crash := range c.crashes() {
		wrong = append(wrong, history.Violation{Rule: "crash", Detail: crash})
	}
	return wrong
}

// commandsOf returns the types of a stream's commands in topic commands, in order.
func commandsOf(ctx context.Context, t *testing.T, c *cluster, stream string) (types []string) {
	t.Helper()
	err := readTopic(ctx, c.brokers(), eventlog.TopicCommands, func(r *kgo.Record) error {
		if string(r.Key) == stream {
			types = append(types, header(r, eventlog.HeaderType))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return types
}

func count(all []string, what string) (n int) {
	for _, one := range all {
		if one == what {
			n++
		}
	}
	return n
}

// held holds one request back: the first message to Kafka that has some texts. The
// request waits in the relay, with all that its process sends behind the request.
type held struct {
	texts []string
	by    chan string // the process that sent the request
	pass  chan struct{}
	taken atomic.Bool
	let   func() // the request goes on
}

func newHeld(texts ...string) *held {
	h := &held{texts: texts, by: make(chan string, 1), pass: make(chan struct{})}
	h.let = sync.OnceFunc(func() { close(h.pass) })
	return h
}

// request waits with the request that is held.
func (h *held) request(process string, request []byte) {
	if len(request) < 2 || kmsg.Key(binary.BigEndian.Uint16(request)) != kmsg.Produce {
		return
	}
	for _, text := range h.texts {
		if !bytes.Contains(request, []byte(text)) {
			return
		}
	}
	if h.taken.CompareAndSwap(false, true) {
		h.by <- process
		<-h.pass
	}
}

// await waits for the request, and returns the process that sent the request.
func (h *held) await(t *testing.T, c *cluster) *process {
	t.Helper()
	select {
	case name := <-h.by:
		for _, p := range c.processes {
			if p.name == name {
				return p
			}
		}
		t.Fatal("there is no process", name)
	case <-time.After(time.Minute):
		t.Fatal("nobody sends the request")
	}
	return nil
}

// teller is a client who wants every command to succeed.
type teller struct {
	history.Asker
	bank.History
	to, from *process
	position string
}

func sinceNow() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}

// send sends a command until the outcome is known.
func (c *teller) send(t *testing.T, kind, stream, payload string) {
	t.Helper()
	id := fmt.Sprint("c", len(c.Commands))
	body := fmt.Sprintf(`{"type":%q,"id":%q,"payload":%s}`, kind, id, payload)
	for until := time.Now().Add(time.Minute); ; {
		s := bank.Sent{Operation: history.Operation{Instance: c.to.name, Kind: kind, User: stream, CommandID: id, Waits: true, Call: c.Now()}, Payload: json.RawMessage(payload)}
		var answer struct {
			Version  uint64 `json:"version"`
			Position string `json:"position"`
		}
		c.Ask(&s.Operation, http.MethodPost, c.to.url+"/commands", http.Header{"Content-Type": {"application/json"}, "Prefer": {"wait=10"}}, body, &answer)
		s.Version, s.Position = answer.Version, answer.Position
		c.Commands = append(c.Commands, s)
		switch result := s.Result(); {
		case result == history.Succeeded:
			c.position = s.Position
			return
		case result != history.Unknown && result != history.Accepted || time.Now().After(until):
			t.Fatalf("%s: %+v", body, s)
		}
	}
}

// awaitTransfer waits until the transfer is completed.
func (c *teller) awaitTransfer(t *testing.T) {
	t.Helper()
	for until := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		var answer struct{ Status transfers.Status }
		o := history.Operation{Kind: history.ReadOld}
		c.Ask(&o, http.MethodGet, c.from.url+"/transfers/"+lateTransfer, nil, "", &answer)
		if answer.Status == transfers.Completed {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("the transfer is %q, %+v", answer.Status, o)
		}
	}
}

// read reads all money, after the last command.
func (c *teller) read(t *testing.T) {
	t.Helper()
	r := bank.Read{Operation: history.Operation{Kind: history.Read, After: c.position, Call: c.Now()}}
	c.Ask(&r.Operation, http.MethodGet, c.from.url+"/stats/money", http.Header{"Read-After": {c.position}}, "", &r.Money)
	if r.Result() != history.Succeeded {
		t.Fatalf("GET /stats/money: %+v", r)
	}
	c.Reads = append(c.Reads, r)
}
