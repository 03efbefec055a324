package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/millrace/millrace/testing/torture/history"
)

const (
	// giveUp is how long a client sends a command again while the outcome is
	// unknown.
	giveUp = 45 * time.Second
	pace   = 30 * time.Millisecond
)

// client sends commands and reads, one after the other.
type client struct {
	history.Asker
	number   int
	rng      *rand.Rand
	commands []*process
	queries  []*process
	users    *population
	recorder *recorder
	poisons  bool // the client sends commands that can't be decided
	sent     int
	last     *history.Operation // the last command with an outcome
	lastUser *user
}

// run sends requests until the context ends, and finishes the last request.
func (c *client) run(ctx context.Context) {
	for pause(ctx, pace/2+time.Duration(c.rng.Int64N(int64(pace)))) {
		u := c.users.pick(c.rng.IntN(1 << 20))
		switch roll := c.rng.IntN(100); {
		case roll < 25:
			c.read(u, history.Read, u.after)
		case roll < 40:
			c.read(u, history.ReadOld, func() string { return "" })
		case roll < 44 && c.last != nil:
			again := *c.last
			again.Waits = true
			c.command(c.lastUser, again)
		case roll < 48:
			c.burst(u)
		default:
			c.command(u, c.randomCommand(u))
		}
	}
}

// randomCommand is a random command.
func (c *client) randomCommand(u *user) history.Operation {
	c.sent++
	o := history.Operation{
		User: u.id, CommandID: fmt.Sprintf("c%d-%d", c.number, c.sent), Waits: c.rng.IntN(3) > 0,
	}
	version := u.lastVersion()
	kinds := []string{"createUser", "renameUser", "renameUser", "renameUser", "renameUser", "renameUser", "renameUser", "renameUser", "deactivateUser", "reactivateUser", "reactivateUser"}
	o.Kind = kinds[c.rng.IntN(len(kinds))]
	if version == 0 && c.rng.IntN(3) > 0 {
		o.Kind = "createUser"
	}
	if version > 15 && c.rng.IntN(20) == 0 {
		o.Kind = "deleteUser"
	}
	if o.Kind == "createUser" || o.Kind == "renameUser" {
		o.Name = fmt.Sprintf("Name %d", c.rng.IntN(1000))
	}
	if c.poisons && c.rng.IntN(poisonOneIn) == 0 {
		o.Kind, o.Name = "renameUser", history.Poison
	}
	if c.rng.IntN(4) == 0 {
		expected := version
		if c.rng.IntN(5) == 0 {
			expected++
		}
		o.Expected = &expected
	}
	return o
}

// command sends a command until the outcome is known, or giveUp is over.
func (c *client) command(u *user, o history.Operation) {
	until := time.Now().Add(giveUp)
	for time.Now().Before(until) {
		try := c.try(u, o)
		if r := try.Result(); r != history.Unknown {
			if r == history.Succeeded || r == history.Refused || r == history.Parked {
				c.last, c.lastUser = &o, u
			}
			return
		}
		time.Sleep(time.Duration(100+c.rng.IntN(300)) * time.Millisecond)
	}
}

// try sends a command once.
func (c *client) try(u *user, o history.Operation) history.Operation {
	to := c.commands[c.rng.IntN(len(c.commands))]
	o.Client, o.Instance, o.Call = c.number, to.name, c.Now()
	header := http.Header{"Content-Type": {"application/json"}}
	if o.Waits {
		header.Set("Prefer", fmt.Sprintf("wait=%d", u.patience()))
	}
	var answer struct {
		Version  uint64 `json:"version"`
		Position string `json:"position"`
	}
	c.Ask(&o, http.MethodPost, to.url+"/commands", header, string(encode(&o)), &answer)
	switch o.Result() {
	case history.Succeeded:
		o.Version, o.Position = answer.Version, answer.Position
		u.tell(o.Position, o.Version)
		u.parked(false)
		o.Return = c.Now()
		o.Shared = o.Return
	case history.Accepted:
		u.parked(c.poisons && o.Waits) // perhaps: the client doesn't know
		if c.read(u, history.ReadSent, func() string { return o.Position }) {
			o.Shared = c.Now()
		}
	case history.Refused:
		u.parked(false)
		if c.status(u, &o) {
			o.Shared = c.Now()
		}
	case history.Parked:
		u.parked(true)
		c.status(u, &o) // the operator may have requeued or dropped the command by now
	}
	c.recorder.add(o)
	return o
}

// read reads a user, and says whether an answer came. The call begins before the
// client looks for a position to read after: the answer need not show outcomes
// that other clients learn later.
func (c *client) read(u *user, kind string, after func() string) bool {
	for range 3 {
		to := c.queries[c.rng.IntN(len(c.queries))]
		o := history.Operation{Client: c.number, Instance: to.name, Kind: kind, User: u.id, Call: c.Now()}
		o.After = after()
		header := http.Header{}
		if o.After != "" {
			header.Set("Read-After", o.After)
		}
		var answer struct {
			Version uint64 `json:"version"`
			Name    string `json:"name"`
			Active  bool   `json:"active"`
		}
		c.Ask(&o, http.MethodGet, to.url+"/users/"+url.PathEscape(u.id), header, "", &answer)
		known := o.Result() != history.Unknown
		if known {
			o.Version, o.ReadName, o.Active = answer.Version, answer.Name, answer.Active
			u.tell(o.Position, o.Version)
			o.Return = c.Now()
		}
		c.recorder.add(o)
		if known || kind != history.ReadSent {
			return known
		}
	}
	return false
}

// status asks for the status of a refused or parked command: the answer has a
// position, and answers to refused or parked commands don't. status says whether
// the read model knew the outcome. A read model that is behind may show a refused
// command as parked.
func (c *client) status(u *user, command *history.Operation) bool {
	for range 3 {
		to := c.queries[c.rng.IntN(len(c.queries))]
		o := history.Operation{Client: c.number, Instance: to.name, Kind: history.Status, User: u.id, CommandID: command.CommandID, Call: c.Now()}
		var answer struct {
			Status  string `json:"status"`
			Version uint64 `json:"version"`
			Problem struct {
				Type string `json:"type"`
			} `json:"problem"`
		}
		c.Ask(&o, http.MethodGet, to.url+"/users/"+url.PathEscape(u.id)+"/commands/"+url.PathEscape(o.CommandID), nil, "", &answer)
		o.Slug, o.Version = answer.Status, answer.Version
		if answer.Status == string(history.Refused) {
			o.Slug = history.SlugOf(answer.Problem.Type)
		}
		known := o.HTTP == http.StatusOK && answer.Status != string(history.Accepted) &&
			(command.Result() != history.Refused || answer.Status == string(history.Refused))
		if known {
			u.tell(o.Position, 0)
			o.Return = c.Now()
		}
		c.recorder.add(o)
		if known {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}
