package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// decideIn is the longest time until a command is decided, and until the
	// services go on or refuse.
	decideIn = 45 * time.Second
	// refuseIn is the longest time until services with more partitions than
	// expected refuse commands.
	refuseIn = 20 * time.Second
)

// wreckUser is a user, and the one client of the user: so the user's version is
// known.
type wreckUser struct {
	id                string
	commands, queries string // URLs
	http              *http.Client
	version           uint64
	position          string
}

// errLost is the error of a command that was accepted and isn't decided.
var errLost = errors.New("was accepted, and not decided")

// traffic renames all users at once.
func (w *wreckage) traffic(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, decideIn)
	defer cancel()
	return w.each(func(u *wreckUser, id string) error {
		if err := u.rename(ctx, id); err != nil {
			return err
		}
		return u.read(ctx)
	})
}

// each does something for all users at once, with a new command id each.
func (w *wreckage) each(do func(u *wreckUser, id string) error) error {
	var all sync.WaitGroup
	failed := make([]error, len(w.users))
	for i, u := range w.users {
		w.sent++
		id := fmt.Sprintf("w%d", w.sent)
		all.Go(func() { failed[i] = do(u, id) })
	}
	all.Wait()
	return errors.Join(failed...)
}

// known are the versions of the users.
func (w *wreckage) known() (versions []uint64) {
	for _, u := range w.users {
		versions = append(versions, u.version)
	}
	return versions
}

// believe sets the versions of the users.
func (w *wreckage) believe(versions []uint64) {
	for i, u := range w.users {
		u.version, u.position = versions[i], ""
	}
}

// send sends a command, and returns the status of the answer: 0 for no answer.
func (u *wreckUser) send(ctx context.Context, id string) (status int, body, position string) {
	command := "renameUser"
	if u.version == 0 {
		command = "createUser"
	}
	text := fmt.Sprintf(`{"id":%q,"type":%q,"payload":{"id":%q,"name":%q}}`, id, command, u.id, "Name "+id)
	return u.ask(ctx, http.MethodPost, u.commands+"/commands", text, "Prefer", "wait=2", "Content-Type", "application/json")
}

func (u *wreckUser) ask(ctx context.Context, method, url, body string, headers ...string) (status int, text, position string) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, err.Error(), ""
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := u.http.Do(request)
	if err != nil {
		return 0, err.Error(), ""
	}
	defer response.Body.Close()
	out, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error(), ""
	}
	return response.StatusCode, string(out), response.Header.Get("Position")
}

// rename renames the user. A 503, or no answer, says nothing: the command is sent
// again. After a 202 the command must be decided without another try.
func (u *wreckUser) rename(ctx context.Context, id string) error {
	for {
		status, body, position := u.send(ctx, id)
		switch {
		case status == http.StatusAccepted:
			return u.await(ctx, id)
		case status == http.StatusOK:
			return u.decided(body, position)
		case status != 0 && status != http.StatusServiceUnavailable:
			return fmt.Errorf("%s of %s in version %d: %d %s", id, u.id, u.version, status, body)
		}
		if !pause(ctx, 200*time.Millisecond) {
			return fmt.Errorf("%s of %s is never taken: %d %s", id, u.id, status, body)
		}
	}
}

// decided notes the outcome of a command. The version is the next, or something
// was lost.
func (u *wreckUser) decided(body, position string) error {
	var is struct {
		Version uint64 `json:"version"`
	}
	if err := json.Unmarshal([]byte(body), &is); err != nil {
		return err
	}
	if is.Version != u.version+1 {
		return fmt.Errorf("%s is in version %d, and was in version %d before the last command", u.id, is.Version, u.version)
	}
	u.version, u.position = is.Version, position
	return nil
}

// await waits until an accepted command is decided.
func (u *wreckUser) await(ctx context.Context, id string) error {
	for {
		status, body, position := u.ask(ctx, http.MethodGet, u.queries+"/users/"+u.id+"/commands/"+id, "")
		if status == http.StatusOK && strings.Contains(body, `"succeeded"`) {
			return u.decided(body, position)
		}
		if !pause(ctx, 200*time.Millisecond) {
			return fmt.Errorf("%s of %s %w: %d %s", id, u.id, errLost, status, body)
		}
	}
}

// read reads the user behind the last command.
func (u *wreckUser) read(ctx context.Context) error {
	var headers []string
	if u.position != "" {
		headers = []string{"Read-After", u.position}
	}
	for {
		status, body, _ := u.ask(ctx, http.MethodGet, u.queries+"/users/"+u.id, "", headers...)
		var is struct {
			Version uint64 `json:"version"`
		}
		if status == http.StatusOK && json.Unmarshal([]byte(body), &is) == nil && is.Version == u.version {
			return nil
		}
		if !pause(ctx, 200*time.Millisecond) {
			return fmt.Errorf("%s in version %d reads as %d %s", u.id, u.version, status, body)
		}
	}
}

// goesOn is an error unless the services are ready, decide all commands, have
// lost nothing, and verify proves the read models.
func (w *wreckage) goesOn(ctx context.Context) error {
	if err := w.services.waitUntilReady(ctx, decideIn); err != nil {
		return err
	}
	if err := w.traffic(ctx); err != nil {
		return err
	}
	if err := w.services.waitUntilReady(ctx, decideIn); err != nil {
		return fmt.Errorf("after the commands: %w", err)
	}
	return w.cluster.verify(ctx, 0)
}

// answer waits until the services go on or refuse, and checks that the answer is
// right. The result is the line of the refusal, "" if all goes on.
func (w *wreckage) answer(ctx context.Context, d wreck) (refused string, err error) {
	if d.refuses || d.may {
		refused = w.refusal(ctx, d)
	}
	switch {
	case refused != "":
		return refused, w.takesNothing(ctx)
	case d.refuses:
		return "", errors.Join(errors.New("the services don't refuse"), w.services.ready(ctx))
	default:
		return "", w.goesOn(ctx)
	}
}

// refusal waits until the services refuse, and returns the line with the remedy.
// Services that may go on and are ready don't refuse.
func (w *wreckage) refusal(ctx context.Context, d wreck) string {
	ctx, cancel := context.WithTimeout(ctx, refuseIn)
	defer cancel()
	steady := 0
	for ctx.Err() == nil {
		err := w.services.ready(ctx)
		line := w.remedy(err)
		switch {
		case w.services.pid() == 0 && line != "":
			return line
		case err != nil && line != "" && w.services.pid() != 0 && strings.Contains(err.Error(), "\n") && d.topics != nil:
			return line
		case err != nil && line != "" && strings.Contains(line, "damaged"):
			return line
		}
		if err == nil {
			if steady++; d.may && steady > 20 {
				return ""
			}
		} else {
			steady = 0
		}
		pause(ctx, 100*time.Millisecond)
	}
	return ""
}

// remedy is a line that says what to do: of readyz, or of the services' log
// since the round began.
func (w *wreckage) remedy(ready error) string {
	text := ""
	if ready != nil {
		text = ready.Error() + "\n"
	}
	if log, err := os.ReadFile(w.services.logFile()); err == nil && int64(len(log)) > w.logged {
		text += string(log[w.logged:])
	}
	for line := range strings.Lines(text) {
		for _, words := range remedies {
			if strings.Contains(line, words) {
				return strings.TrimSpace(line)
			}
		}
	}
	return ""
}

// takesNothing is an error if services that refuse accept a command that isn't
// decided.
func (w *wreckage) takesNothing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, decideIn)
	defer cancel()
	return w.each(func(u *wreckUser, id string) error {
		if status, body, _ := u.send(ctx, id); status == http.StatusAccepted {
			return fmt.Errorf("%s of %s, beside services that refuse, %w: %s", id, u.id, errLost, body)
		}
		return nil
	})
}

// deletedNext are the words of a service that ends because a read has found damage
// in the state store.
const deletedNext = "will be deleted at the next start"

// withoutState ends the services, damages their state store, and starts the
// services. A read may find the damage later: then the services end with a line,
// and their next start folds the log anew.
func (w *wreckage) withoutState(harm func(dir string) error) error {
	if err := w.end(w.services, w.rng.IntN(2) == 0); err != nil {
		return err
	}
	if err := errors.Join(harm(w.services.dir), w.services.start()); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), 2*decideIn)
	defer stop()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for pause(ctx, 200*time.Millisecond) {
			if log, err := os.ReadFile(w.services.logFile()); w.services.pid() == 0 && err == nil && strings.Contains(string(log[w.logged:]), deletedNext) {
				_ = w.services.start() // the traffic below fails otherwise
				return
			}
		}
	}()
	err := w.traffic(ctx)
	stop()
	<-watched
	return err
}
