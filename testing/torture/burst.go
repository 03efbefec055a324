package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/millrace/millrace/testing/torture/history"
)

// burstOf is the number of commands in a burst, which is one request.
const burstOf = 10

// burst sends many commands of a user at once, without waiting for outcomes, so
// many commands are under way when a fault comes. Commands without an answer are
// sent again, one after the other.
func (c *client) burst(u *user) {
	c.users.spend(u, burstOf)
	all := make([]history.Operation, burstOf)
	for i := range all {
		all[i] = c.randomCommand(u)
		all[i].Waits = false
	}
	all = c.sendBurst(all)
	// The position of the last command is behind all others.
	var shared time.Duration
	for i := len(all) - 1; i >= 0 && shared == 0; i-- {
		if all[i].Result() == history.Accepted {
			if !c.read(u, history.ReadSent, func() string { return all[i].Position }) {
				break
			}
			shared = c.Now()
			for j := range all[:i+1] {
				if all[j].Result() == history.Accepted {
					all[j].Shared = shared
				}
			}
		}
	}
	for i := range all {
		c.recorder.add(all[i])
	}
	for _, o := range all {
		if o.Result() == history.Unknown {
			c.command(u, history.Operation{Kind: o.Kind, User: o.User, CommandID: o.CommandID, Name: o.Name, Expected: o.Expected})
		}
	}
}

// sendBurst sends one request with a command a line, and notes the result of each
// command.
func (c *client) sendBurst(all []history.Operation) []history.Operation {
	ctx, cancel := context.WithTimeout(context.Background(), history.AnswerIn)
	defer cancel()
	to := c.commands[c.rng.IntN(len(c.commands))]
	var body bytes.Buffer
	for i := range all {
		all[i].Client, all[i].Instance, all[i].Call = c.number, to.name, c.Now()
		body.Write(encode(&all[i]))
		body.WriteByte('\n')
	}
	answered := 0
	err := func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url+"/commands", &body)
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/x-ndjson")
		response, err := c.HTTP.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		for lines := bufio.NewScanner(response.Body); answered < len(all) && lines.Scan(); answered++ {
			if err := readLine(&all[answered], lines.Bytes()); err != nil {
				return err
			}
			all[answered].Return = c.Now()
		}
		return nil
	}()
	for i := answered; i < len(all); i++ {
		all[i].Return = c.Now()
		if err != nil {
			all[i].Error = err.Error()
		}
	}
	return all
}

// readLine notes the result of a command.
func readLine(o *history.Operation, line []byte) error {
	var result struct {
		Position string `json:"position"`
		Problem  *struct {
			Type   string `json:"type"`
			Status int    `json:"status"`
		} `json:"problem"`
	}
	if err := json.Unmarshal(line, &result); err != nil {
		return err
	}
	if result.Problem != nil {
		o.HTTP, o.Slug = result.Problem.Status, history.SlugOf(result.Problem.Type)
		return nil
	}
	o.HTTP, o.Position = http.StatusAccepted, result.Position // the client waits for no outcome
	return nil
}

// encode writes a command as a body of POST /commands.
func encode(o *history.Operation) []byte {
	payload := map[string]string{"id": o.User}
	if o.Name != "" {
		payload["name"] = o.Name
	}
	body := map[string]any{"type": o.Kind, "payload": payload, "id": o.CommandID}
	if o.Expected != nil {
		body["expectedVersion"] = *o.Expected
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // plain data
	}
	return text
}
