package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clients send commands until stop. Each client has a user of its own.
type clients struct {
	all    []*client
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// client sends one command after the other. Command n makes version n of the user,
// with the name "Name n".
type client struct {
	user     int
	accepted atomic.Int64
	err      error // why the client ended before stop
}

const (
	users = 8
	// pace is the pause between two commands of a client: this is no load test.
	pace = 20 * time.Millisecond
	// patience is the longest time for steps of some seconds.
	patience = 90 * time.Second
	// remembered is the number of commands to repeat in the end, fewer than
	// handlers.outcomes_per_stream.
	remembered = 100
)

func start(t *testing.T) *clients {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	all := &clients{cancel: cancel}
	for user := 1; user <= users; user++ {
		c := &client{user: user}
		all.all = append(all.all, c)
		all.done.Go(func() { c.err = c.work(ctx) })
	}
	t.Cleanup(func() {
		cancel()
		all.done.Wait()
	})
	return all
}

func (c *client) work(ctx context.Context) error {
	for n := int64(1); ; n++ {
		status, body, err := c.send(n, "")
		if err != nil {
			return err
		}
		if status != http.StatusAccepted {
			return fmt.Errorf("user %d, command %d: %d %s", c.user, n, status, body)
		}
		c.accepted.Store(n)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pace):
		}
	}
}

// send sends command n until an answer comes: after a 503, and without an answer,
// send sends the command again.
func (c *client) send(n int64, prefer string) (status int, body string, err error) {
	kind := "renameUser"
	if n == 1 {
		kind = "createUser"
	}
	command := fmt.Sprintf(`{"type":%q,"payload":{"id":%d,"name":"Name %d"},"id":"%d-%d"}`, kind, c.user, n, c.user, n)
	err = eventually(func() error {
		status, body, err = ask(commandURLs, func(url string) (*http.Request, error) {
			request, err := http.NewRequest(http.MethodPost, url+"/commands", strings.NewReader(command))
			if err == nil {
				request.Header.Set("Content-Type", "application/json")
				request.Header.Set("Prefer", prefer)
			}
			return request, err
		})
		return err
	})
	return status, body, err
}

// user is a user in the read API.
type user struct {
	Name    string
	Version int64
}

func (c *client) read() (u user, err error) {
	status, body, err := ask(readURLs, func(url string) (*http.Request, error) {
		return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/users/%d", url, c.user), http.NoBody)
	})
	if err != nil {
		return u, err
	}
	if status != http.StatusOK {
		return u, fmt.Errorf("GET /users/%d: %d %s", c.user, status, body)
	}
	return u, json.Unmarshal([]byte(body), &u)
}

var impatient = &http.Client{Timeout: 40 * time.Second}

// ask sends a request to one instance after the other, until an answer comes.
func ask(urls []string, request func(url string) (*http.Request, error)) (status int, body string, err error) {
	var errs []error
	for _, url := range urls {
		r, err := request(url)
		if err != nil {
			return 0, "", err
		}
		response, err := impatient.Do(r)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err == nil && response.StatusCode != http.StatusServiceUnavailable {
			return response.StatusCode, string(text), nil
		}
		errs = append(errs, fmt.Errorf("%s: %d %s %w", url, response.StatusCode, text, err))
	}
	return 0, "", errors.Join(errs...)
}

// waitForMore waits until the read model shows a new command of each client.
func (c *clients) waitForMore(t *testing.T) {
	t.Helper()
	began := time.Now()
	for _, client := range c.all {
		before := client.accepted.Load() + 1 // a command may be on its way
		err := eventually(func() error {
			u, err := client.read()
			if err == nil && u.Version <= before {
				err = fmt.Errorf("user %d has version %d, and %d commands were accepted before", client.user, u.Version, before)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("new commands show after %s", time.Since(began).Round(100*time.Millisecond))
}

func (c *clients) stop(t *testing.T) {
	t.Helper()
	c.cancel()
	c.done.Wait()
	for _, client := range c.all {
		if client.err != nil {
			t.Fatal(client.err)
		}
	}
}

// check compares the accepted commands with the read model, and with the log: the
// command service answers a repeated command with the outcome in the log.
func (c *clients) check(t *testing.T) {
	t.Helper()
	var accepted int64
	for _, client := range c.all {
		last := client.accepted.Load()
		accepted += last
		want := user{Name: fmt.Sprint("Name ", last), Version: last}
		var got user
		err := eventually(func() (err error) {
			if got, err = client.read(); err == nil && got != want {
				err = fmt.Errorf("user %d is %+v in the read model, want %+v", client.user, got, want)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		for n := max(1, last-remembered+1); n <= last; n++ {
			status, body, err := client.send(n, "wait=20")
			if want := fmt.Sprintf(`"version":%d,`, n); err != nil || status != http.StatusOK || !strings.Contains(body, want) {
				t.Errorf("user %d, command %d, sent again: %d %s %v, want %s", client.user, n, status, body, err, want)
			}
		}
	}
	t.Logf("%d commands were accepted; each is decided once, and in the read model", accepted)
}

// eventually tries until an attempt works, for as long as patience.
func eventually(try func() error) error {
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := try()
		if err == nil {
			return nil
		}
		if time.Since(began) > patience {
			return fmt.Errorf("gave up: %w", err)
		}
	}
}
