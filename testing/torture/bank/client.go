package bank

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/millrace/millrace/testing/torture/history"
)

const (
	// giveUp is how long a client sends a command again while the outcome is
	// unknown.
	giveUp = 45 * time.Second
	// pace is the pause between two requests, on average.
	pace = 40 * time.Millisecond
	// patience is how many seconds a client waits for an outcome.
	patience = 5
)

// Instance is a process that clients talk to.
type Instance struct{ Name, URL string }

// Client sends commands and reads, one after the other.
type Client struct {
	history.Asker
	Number     int
	RNG        *rand.Rand
	Commands   []Instance
	Queries    []Instance
	Population *Population
	// Note is told of each operation.
	Note func(history.Operation)

	History History // of this client
	sent    int
	scheduled
}

// scheduled is the client's last command for a later time.
type scheduled struct{ account, id string }

// Run sends requests until the context ends, and finishes the last request.
func (c *Client) Run(ctx context.Context) {
	for wait(ctx, pace/2+time.Duration(c.RNG.Int64N(int64(pace)))) {
		p := c.Population
		amount := 1 + c.RNG.IntN(500)
		switch roll := c.RNG.IntN(100); {
		case roll < 10:
			id := c.id("a")
			if c.command("openAccount", "account/"+id, time.Time{}, fmt.Sprintf(`{"id":%q,"number":%q}`, id, p.number(c.RNG))) == history.Succeeded {
				p.opened(id)
			}
		case roll < 30:
			c.onAccount("deposit", p.account(c.RNG), time.Time{}, 4*amount)
		case roll < 36:
			c.onAccount("withdraw", p.account(c.RNG), time.Time{}, amount)
		case roll < 72:
			c.transfer(amount)
		case roll < 80:
			id := p.transfer(c.RNG)
			c.command("acceptTransfer", "transfer/"+id, time.Time{}, fmt.Sprintf(`{"id":%q}`, id))
		case roll < 84:
			c.empty(p.account(c.RNG))
		case roll < 88:
			at := time.Now().Add(time.Duration(c.RNG.IntN(10_000)) * time.Millisecond).UTC().Truncate(time.Millisecond)
			account := p.account(c.RNG)
			c.scheduled = scheduled{account, c.onAccount("deposit", account, at, amount)}
		case roll < 90 && c.scheduled.id != "":
			c.command("cancelScheduled", "account/"+c.account, time.Time{}, fmt.Sprintf(`{"stream":"account/%s","commandId":%q}`, c.account, c.scheduled.id))
		default:
			c.read(c.RNG.IntN(2) == 0)
		}
	}
}

// id is a new id.
func (c *Client) id(kind string) string {
	c.sent++
	return fmt.Sprintf("%s%d-%d", kind, c.Number, c.sent)
}

// transfer asks for a transfer between two accounts, one in ten times to an account
// that isn't there.
func (c *Client) transfer(amount int) {
	id, from, to := c.id("t"), c.Population.account(c.RNG), c.Population.account(c.RNG)
	if c.RNG.IntN(10) == 0 {
		to = "nobody"
	}
	accept := ""
	if c.RNG.IntN(4) == 0 {
		accept = `,"needsAcceptance":true`
	}
	payload := fmt.Sprintf(`{"id":%q,"from":%q,"to":%q,"amount":%d%s,"withinSeconds":%d}`, id, from, to, amount, accept, 1+c.RNG.IntN(10))
	if r := c.command("requestTransfer", "transfer/"+id, time.Time{}, payload); r == history.Succeeded || r == history.Accepted {
		c.Population.requested(id)
	}
}

// onAccount sends a command about an account and an amount, and returns the id of
// the command.
func (c *Client) onAccount(kind, account string, at time.Time, amount int) string {
	c.command(kind, "account/"+account, at, fmt.Sprintf(`{"id":%q,"amount":%d}`, account, amount))
	return c.History.Commands[len(c.History.Commands)-1].CommandID
}

// empty withdraws the balance of an account, and closes the account. Transfers may
// be under way: the account is not empty then, or gets money back later.
func (c *Client) empty(account string) {
	var answer struct {
		Balance int `json:"balance"`
	}
	o := history.Operation{Client: c.Number, Kind: history.ReadOld}
	c.Ask(&o, http.MethodGet, c.any(c.Queries, &o)+"/accounts/"+account, nil, "", &answer)
	if answer.Balance > 0 {
		c.onAccount("withdraw", account, time.Time{}, answer.Balance)
	}
	if c.command("closeAccount", "account/"+account, time.Time{}, fmt.Sprintf(`{"id":%q}`, account)) == history.Succeeded {
		c.Population.closed(account)
	}
}

// command sends a command until the outcome is known, or giveUp is over.
func (c *Client) command(kind, stream string, at time.Time, payload string) history.Result {
	id := c.id("c")
	wants := at.IsZero() && (kind == "openAccount" || kind == "closeAccount" || c.RNG.IntN(3) > 0) // which accounts are open must be known
	for until := time.Now().Add(giveUp); time.Now().Before(until); {
		s := Sent{Operation: history.Operation{Client: c.Number, Kind: kind, User: stream, CommandID: id, Waits: wants}, Payload: json.RawMessage(payload), NotBefore: at}
		s.Call = c.Now()
		header := http.Header{"Content-Type": {"application/json"}}
		if wants {
			header.Set("Prefer", fmt.Sprintf("wait=%d", patience))
		}
		envelope := map[string]any{"type": kind, "id": id, "payload": s.Payload}
		if !at.IsZero() {
			envelope["notBefore"] = at.Format("2006-01-02T15:04:05.000Z07:00")
		}
		body, err := json.Marshal(envelope)
		if err != nil {
			panic(err) // the payload is JSON
		}
		var answer struct {
			Version  uint64 `json:"version"`
			Position string `json:"position"`
		}
		c.Ask(&s.Operation, http.MethodPost, c.any(c.Commands, &s.Operation)+"/commands", header, string(body), &answer)
		if s.Result() == history.Succeeded {
			s.Version, s.Position = answer.Version, answer.Position
			c.Population.tell(s.Position)
		}
		c.History.Commands = append(c.History.Commands, s)
		c.Note(s.Operation)
		if s.Result() != history.Unknown {
			return s.Result()
		}
		time.Sleep(time.Duration(100+c.RNG.IntN(300)) * time.Millisecond)
	}
	return history.Unknown
}

// read reads all money, after all that any client has seen, or of any age.
func (c *Client) read(after bool) {
	r := Read{Operation: history.Operation{Client: c.Number, Kind: history.ReadOld, Call: c.Now()}}
	header := http.Header{}
	if after {
		if r.Kind, r.After = history.Read, c.Population.after(); r.After != "" {
			header.Set("Read-After", r.After)
		}
	}
	c.Ask(&r.Operation, http.MethodGet, c.any(c.Queries, &r.Operation)+"/stats/money", header, "", &r.Money)
	if r.Result() == history.Succeeded {
		c.Population.tell(r.Position)
	}
	c.History.Reads = append(c.History.Reads, r)
	c.Note(r.Operation)
}

// any is the URL of a random instance.
func (c *Client) any(of []Instance, o *history.Operation) string {
	to := of[c.RNG.IntN(len(of))]
	o.Instance = to.Name
	return to.URL
}

// wait waits, and says whether the context goes on.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
